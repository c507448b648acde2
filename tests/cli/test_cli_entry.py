"""How an entry point ends: what a user can mend takes one line, what only a programmer can keeps its traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from dml.cli.entry import guarded
from dml.errors import Note, UserError, add_note
from dml.signals import STOP_SIGNALS


def raising(error: BaseException):
    def main() -> None:
        raise error

    return main


@pytest.mark.parametrize("error", [UserError("--lr must be positive"), OSError("--lr must be positive")])
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


def written(main: str, *, within: Sequence[str] = (), arguments: Sequence = (), **options) -> subprocess.Popen:
    """A program around ``main``, whose output Python would keep back, started by the command ``within``."""
    program = (
        f"import sys, time\nfrom dml.cli.entry import guarded\nfrom dml.tracking import say\n{main}\nguarded(main)"
    )
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    code = str(Path(__file__).resolve().parents[2] / "code")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    words = [*within, sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(words, env=kept | {"PYTHONPATH": code}, **(pipes | options))


def test_a_pipe_gets_each_line_as_it_is_written():
    with written("def main():\n say('begun')\n sys.stdin.read()", stdin=subprocess.PIPE) as process:
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        process.communicate("", timeout=60)
    assert process.returncode == 0


def test_who_reads_no_further_ends_a_program_without_a_word():
    with written("def main():\n for i in range(100_000):\n  print(i)") as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == ("", 141)


def test_a_run_goes_on_without_its_output():
    main = "def main():\n for i in range(100_000):\n  say(str(i))\n print('trained', file=sys.stderr)"
    with written(main) as process:
        process.stdout.close()
        said = process.stderr.read().splitlines()
        assert process.wait(60) == 0
    assert said == ["warning: the output cannot be written to any more (Broken pipe): going on without it", "trained"]


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", ">/dev/full 2>/dev/full"])
def test_streams_that_are_closed_or_full_stop_no_run(closed, tmp_path):
    main = (
        "def main():\n from tqdm import tqdm\n for i in tqdm(range(3), disable=None): say(str(i))\n"
        " import warnings\n warnings.warn('x')\n print('trained', file=open(sys.argv[1], 'w'))"
    )
    kept = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    with written(main, within=kept, arguments=[tmp_path / "done"]) as process:
        assert process.wait(60) == 0
    assert (tmp_path / "done").read_text() == "trained\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_table_that_cannot_be_written_is_an_error_of_one_line():
    with Path("/dev/full").open("w") as full, written("def main():\n print('a table')", stdout=full) as process:
        assert process.stderr.read() == "-c: error: [Errno 28] No space left on device\n"
    assert process.returncode == 2


def test_a_number_of_a_process_that_is_empty_is_none(monkeypatch):
    monkeypatch.setenv("RANK", "")
    with pytest.raises(SystemExit) as stop:
        guarded(lambda: None)
    assert stop.value.code == 0


def test_a_terminal_may_close_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as stop:
            guarded(lambda: signal.raise_signal(signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert stop.value.code == 0


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, KeyError])
def test_a_defect_keeps_its_traceback(kind):
    with pytest.raises(kind, match="shapes"):
        guarded(raising(kind("shapes do not match")))


def test_the_traceback_of_what_takes_one_line_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("DML_TRACEBACK", "1")
    with pytest.raises(UserError, match="--lr"):
        guarded(raising(UserError("--lr")))
    with pytest.raises(RuntimeError, match="memory"):
        guarded(raising(torch.OutOfMemoryError("out of memory")))


def test_a_note_is_no_warning(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    lines = []

    def main() -> None:
        for text, kind in (("--lr 0 teaches nothing", UserWarning), ("batches of 40", Note)):
            lines.append(warnings.formatwarning(kind(text), kind, "file.py", 1))

    with pytest.raises(SystemExit):
        guarded(main)
    assert lines == ["warning: --lr 0 teaches nothing\n", "batches of 40\n"]


@pytest.mark.parametrize("error", [UserError("x"), torch.OutOfMemoryError("x"), MemoryError("x")])
def test_notes_stand_below_the_one_line(error, capsys):
    add_note(error, "it is there")
    add_note(error, "go on so")
    with pytest.raises(SystemExit) as stop:
        guarded(raising(error))
    assert stop.value.code == 2
    assert capsys.readouterr().err.splitlines()[-2:] == ["it is there", "go on so"]


@pytest.mark.parametrize("version", [(3, 10), sys.version_info])
def test_notes_stand_below_a_traceback_too(version):
    program = f"""
import sys
import warnings
from dml.cli.entry import guarded
from dml.errors import add_note
sys.version_info = {tuple(version)!r}
def main():
    error = ValueError("shapes")
    add_note(error, "it is there")
    raise error
guarded(main)
"""
    code = str(Path(__file__).resolve().parents[2] / "code")
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": code}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "in main" in done.stderr
    assert "ValueError: shapes" in done.stderr.splitlines()
    assert "it is there" in done.stderr.splitlines()


def test_torch_s_own_word_on_loading_processes_is_not_repeated(capsys):
    """It would be said of every loader; ``dml.cli.workers`` says it once."""
    with pytest.raises(SystemExit):
        guarded(lambda: DataLoader([1], num_workers=10_000))  # which starts none before it is iterated over
    assert capsys.readouterr().err == ""
