"""Reading a run's metrics.jsonl: one JSON object a line, with ``epoch`` and names such as ``eval/recall_at_1``."""

from __future__ import annotations

import json
from pathlib import Path


def read_record(path: Path) -> list[dict]:
    """The lines of the record.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no JSON object, with its number.
    """
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        try:
            line = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
        if not isinstance(line, dict):
            raise ValueError(f"{path}, line {number}: not a JSON object")
        lines.append(line)
    return lines
