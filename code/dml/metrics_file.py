"""Reading a run's metrics.jsonl: one JSON object a line, with ``epoch`` and names such as ``eval/recall_at_1``."""

from __future__ import annotations

import json
from pathlib import Path

from dml.errors import UserError


def read_utf8(path: Path) -> str:
    """The text of a file. FileNotFoundError; UserError naming a file that is no text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path.name} is not text (byte {error.start}: {error.reason})") from error


def read_record(path: Path) -> list[dict]:
    """The lines of the record.

    Raises:
        FileNotFoundError: no such file.
        UserError: not text, or a line that is no JSON object, with its number.
    """
    lines = []
    for number, text in enumerate(read_utf8(path).splitlines(), start=1):
        lines.append(json_object(text, f"{path}, line {number}"))
    return lines


def json_object(text: str, place: str) -> dict:
    """The object that ``text`` is. UserError, beginning with ``place``, for anything else."""
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not JSON ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{place}: not a JSON object")
    return found
