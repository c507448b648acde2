"""Streams that do not know every character get plain ones."""

from __future__ import annotations

import io
import runpy
import sys

import pytest

from dml.cli.plain_text import plainly, write_plainly
from dml.config.train import own_name
from entrypoints import ROOT


def written(text: str, encoding: str, monkeypatch, errors: str = "strict") -> str:
    """What a program's output in ``encoding`` is."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", stream)
        write_plainly()
        print(text, end="")
        stream.flush()
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("untrained –, 3 × 4 ≤ 12 ± 1 → fine …", "untrained -, 3 x 4 <= 12 +- 1 -> fine ..."),
        ("λ · σ² − 2³²", "lambda * sigma2 - 232"),
        ("é, x̂, ½, ∞, ≠", "e, x, 1/2, inf, !="),
        ("a \N{SNOWMAN} and a \udcff", "a ? and a ?"),
    ],
)
def test_plain_characters_where_the_stream_has_no_others(text, plain, monkeypatch):
    assert written(text, "ascii", monkeypatch) == plain


def test_what_a_stream_knows_it_gets(monkeypatch):
    assert written("é ± σ", "latin-1", monkeypatch) == "é ± sigma"
    assert written("é ± σ \N{SNOWMAN}", "utf-8", monkeypatch) == "é ± σ \N{SNOWMAN}"
    assert written("a name that is no text: \udcff", "utf-8", monkeypatch).endswith("?")


def test_streams_of_other_kinds_are_left_alone(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    write_plainly()
    assert not hasattr(stream, "reconfigure")


def test_only_writing_can_be_plain():
    with pytest.raises(UnicodeDecodeError):
        plainly(UnicodeDecodeError("ascii", b"\xff", 0, 1, "no"))


@pytest.mark.parametrize("entry", ["train", "train_target", "train_stml", "main", "classify", "evaluate", "report"])
def test_help_is_written_to_any_stream(entry, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "argv", [f"{entry}.py", "--help"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "code" / f"{entry}.py"), run_name="__main__")
    stream.flush()
    assert stop.value.code == 0
    assert stream.buffer.getvalue().decode("ascii").startswith(f"usage: {own_name(f'{entry}.py')} ")
