"""How an entry point ends: what a user can mend takes one line, what only a programmer can keeps its traceback."""

from __future__ import annotations

import pytest
import torch

from dml.cli.entry import guarded


def raising(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("error", [ValueError("--lr must be positive"), OSError("--lr must be positive")])
def test_a_mistake_of_the_users_takes_one_line(error, capsys):
    with pytest.raises(SystemExit) as stop:
        guarded(raising(error))
    assert stop.value.code == 2
    assert capsys.readouterr().err.endswith("error: --lr must be positive\n")


def test_memory_that_does_not_suffice_is_answered_with_what_needs_less(capsys):
    with pytest.raises(SystemExit) as stop:
        guarded(lambda: torch.empty(2**60))
    assert stop.value.code == 2
    assert "a smaller --batch-size" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        guarded(raising(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nGPU 0 has …")))
    assert "error: out of memory: CUDA out of memory. Tried to allocate 20.00 GiB.\n" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes"):
        guarded(raising(RuntimeError("shapes do not match")))
    monkeypatch.setenv("DML_TRACEBACK", "1")
    with pytest.raises(ValueError, match="--lr"):
        guarded(raising(ValueError("--lr")))
    with pytest.raises(RuntimeError, match="memory"):
        guarded(raising(torch.OutOfMemoryError("out of memory")))
