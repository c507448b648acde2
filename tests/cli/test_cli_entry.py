"""How an entry point ends: what a user can mend takes one line, what only a programmer can keeps its traceback."""

from __future__ import annotations

import signal

import pytest
import torch
from torch.utils.data import DataLoader

from dml.cli.entry import guarded
from dml.signals import STOP_SIGNALS


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


def test_a_compiler_that_fails_is_answered_with_what_does_without(capsys):
    class BackendCompilerFailed(RuntimeError):
        """torch's own is known by its name, for to import it takes seconds."""

    with pytest.raises(SystemExit) as stop:
        guarded(raising(BackendCompilerFailed("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO")))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "torch.compile failed: InvalidCxxCompiler: No working C++ compiler found; --compile 0 goes on" in said


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_every_signal_that_asks_it_to_end_ends_a_program_like_ctrl_c(capsys, number):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as stop:
        guarded(lambda: signal.raise_signal(number))
    assert stop.value.code == 130
    assert capsys.readouterr().err == ""
    assert signal.getsignal(number) == before


def test_a_terminal_may_close_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as stop:
            guarded(lambda: signal.raise_signal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.value.code == 0


def test_a_defect_keeps_its_traceback(monkeypatch):
    with pytest.raises(RuntimeError, match="shapes"):
        guarded(raising(RuntimeError("shapes do not match")))
    monkeypatch.setenv("DML_TRACEBACK", "1")
    with pytest.raises(ValueError, match="--lr"):
        guarded(raising(ValueError("--lr")))
    with pytest.raises(RuntimeError, match="memory"):
        guarded(raising(torch.OutOfMemoryError("out of memory")))


def test_torch_s_own_word_on_loading_processes_is_not_repeated(capsys):
    """It would be said of every loader; ``dml.cli.workers`` says it once."""
    with pytest.raises(SystemExit):
        guarded(lambda: DataLoader([1], num_workers=10_000))  # which starts none before it is iterated over
    assert capsys.readouterr().err == ""
