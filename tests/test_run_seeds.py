"""scripts/run_seeds.sh with a command in place of a training: which seeds run, and what is said when one fails."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "run_seeds.sh"


@pytest.fixture
def stub(tmp_path) -> str:
    """A program with a blank in its path that notes its words, and fails with status 3 at the seed $BAD."""
    program = tmp_path / "a stub"
    program.write_text(
        '#!/bin/sh\nprintf "<%s>" "$@" >> "$NOTES"; echo >> "$NOTES"\n'
        'case "$*" in *"--seed ${BAD:-none}") exit 3;; esac\n'
    )
    program.chmod(0o755)
    return str(program)


@pytest.fixture
def notes(tmp_path, monkeypatch) -> Path:
    path = tmp_path / "notes"
    path.touch()
    monkeypatch.setenv("NOTES", str(path))
    return path


def run(*words: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run([SCRIPT, *words], capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize(
    ("number", "first", "seeds"),
    [("2", None, [0, 1]), ("2", "5", [5, 6]), ("2", "08", [8, 9]), ("03", "0", [0, 1, 2]), ("1", "", [0])],
)
def test_the_seeds_that_run(stub, notes, number, first, seeds):
    done = run(number, stub, "a b", "$x", "*", **({} if first is None else {"FIRST": first}))
    assert done.returncode == 0
    assert notes.read_text().splitlines() == [f"<a b><$x><*><--seed><{seed}>" for seed in seeds]
    assert f"== seed {seeds[-1]} ({len(seeds)} of {len(seeds)})" in done.stdout


def test_a_failing_seed_ends_it_and_what_is_printed_runs_the_rest(stub, notes):
    failed = run("4", stub, "a b", "$x", FIRST="08", BAD="9")
    assert failed.returncode == 3
    assert "seed 9 failed or was interrupted (status 3)" in failed.stderr
    again, after = (line.strip() for line in failed.stderr.splitlines() if line.startswith("  "))
    for command, seeds in ((again, [9, 10, 11]), (after, [10, 11])):
        notes.write_text("")
        assert subprocess.run(["bash", "-c", command]).returncode == 0
        assert notes.read_text().splitlines() == [f"<a b><$x><--seed><{seed}>" for seed in seeds]


def test_the_last_seed_leaves_no_other(stub, notes):
    failed = run("2", stub, BAD="1")
    assert [shlex.split(line)[2] for line in failed.stderr.splitlines() if line.startswith("  ")] == ["1"]


def test_an_interrupted_training_ends_it(notes):
    """Ctrl-C reaches both; the training saves and ends with 130."""
    train = "trap 'exit 130' INT; echo started >> $NOTES; sleep 600"
    words = [SCRIPT, "2", "bash", "-c", train]
    own = {"start_new_session": True, "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, **own)  # where tests run, it may be ignored
    end = time.monotonic() + 60
    while not notes.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert "seed 0 failed or was interrupted (status 130)" in process.communicate(timeout=60)[1]
    assert process.returncode == 130


@pytest.mark.parametrize("number", ["0", "00", "many", "1.5", "-1", "99999999999"])
def test_a_number_that_is_none(stub, notes, number):
    assert run(number, stub).returncode == 2
    assert not notes.read_text()


@pytest.mark.parametrize("first", ["-1", "x", "1e3", "4294967295", "99999999999"])
def test_a_first_seed_that_is_none(stub, notes, first):
    done = run("2", stub, FIRST=first)
    assert done.returncode == 2
    assert "the largest is 4294967295" in done.stderr or "usage: [FIRST=SEED]" in done.stderr
    assert not notes.read_text()


def test_no_command():
    assert "COMMAND" in run("2").stderr
    assert run("1", "/nowhere/train").returncode == 127
