"""Under a real SLURM: two nodes train as one process, jobs stop at a batch and go on without a hand, nothing hangs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import torch

from entrypoints import ROOT, environment, record, run
from slurm_cluster import NoClusterError, cluster, processes_with, why_not
from test_distributed import plain, same_run

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

TRAIN = str(ROOT / "code" / "train.py")
ON_TWO_NODES = ("--nodes", "2", "--ntasks-per-node", "1")
PATIENCE = 300  # seconds, on machines that are slow and busy


class Slurm:
    """Runs commands of SLURM's, or under it, from an empty folder."""

    def __init__(self, folder: Path, variables: dict[str, str]):
        self.folder = folder
        # The cluster's come last: it has none of those that an allocation, in which the tests may run, has set.
        own = {name: value for name, value in environment().items() if os.environ.get(name) != value}
        self.environment = variables | own | {"PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}

    def __call__(self, *command: str | Path, typed: str = "") -> str:
        """Run it to its end, which must be a good one; returns what it printed."""
        done = subprocess.run(
            list(map(str, command)),
            cwd=self.folder,
            env=self.environment,
            input=typed,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def submit(self, *training: str) -> str:
        """Queue ``training`` by the repository's script; returns the job's number."""
        return self("sbatch", "--parsable", *ON_TWO_NODES, ROOT / "scripts/slurm/train.sbatch", *training).strip()

    def output(self, job: str) -> str:
        return (self.folder / f"dml_{job}.out").read_text()

    def wait_for_end(self, job: str) -> str:
        """Returns what SLURM knows of the job then."""
        wait_until(lambda: job not in self("squeue", "--noheader", "--format=%i").split())
        return self("scontrol", "show", "job", job)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slurm")
    with ExitStack() as stack:
        try:
            variables = stack.enter_context(cluster(folder / "cluster"))
        except NoClusterError as reason:
            pytest.skip(str(reason))
        yield Slurm(folder, variables)


@pytest.fixture(scope="module")
def arguments(digits, logs) -> list[str]:
    return [*plain(digits, logs), "--epochs", "3"]


@pytest.fixture(scope="module")
def of_two_nodes(slurm, arguments, logs) -> Path:
    """An uninterrupted run of two tasks."""
    said = slurm("srun", *ON_TWO_NODES, sys.executable, TRAIN, *arguments, "--run-name", "two")
    assert "2 processes" in said
    assert "deprecated" not in said
    return logs / "folder" / "two"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def halt_after_an_epoch(job: str, folder: Path) -> list[int]:
    """Stop the clock of the job's two tasks amid their training, however fast they are; returns their numbers."""
    wait_until((folder / "last.pt").exists)
    started = [process for process in processes_with(f"SLURM_JOB_ID={job}") if words_of(process)[1:2] == [TRAIN]]
    for process in started:
        os.kill(process, signal.SIGSTOP)
    assert len(started) == 2
    return started


def words_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/cmdline").read_text().split("\0")


def was_sent(number: signal.Signals, process: int) -> bool:
    """Whether the halted process has the signal before it, or was let go on by SLURM, and has ended of it."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    pending = re.search(r"^ShdPnd:\s*(\w+)", status, re.M)
    return pending is None or bool(int(pending[1], 16) >> (number - 1) & 1)


def test_two_nodes_train_as_one_process(arguments, logs, of_two_nodes):
    run("train.py", *arguments, "--run-name", "one")
    same_run(logs / "folder" / "one", of_two_nodes)


def test_ahead_of_its_time_limit_a_job_stops_at_a_batch_and_goes_on_without_a_hand(
    slurm, arguments, logs, of_two_nodes
):
    begun = time.monotonic()
    job = slurm.submit(TRAIN, *arguments)
    folder = logs / "folder" / f"job_{job}"
    tasks = halt_after_an_epoch(job, folder)
    # Less than the two minutes are left at which the script asks for its signal; for the rest of the run there is time.
    minutes = int(time.monotonic() - begun) // 60 + 2
    slurm("scontrol", "update", f"JobId={job}", f"TimeLimit={minutes}")
    wait_until(lambda: all(was_sent(signal.SIGUSR1, task) for task in tasks))
    slurm("scontrol", "update", f"JobId={job}", "TimeLimit=240")
    for task in tasks:
        with suppress(ProcessLookupError):
            os.kill(task, signal.SIGCONT)

    ended = slurm.wait_for_end(job)
    said = slurm.output(job)
    assert "JobState=COMPLETED" in ended, said
    assert "Restarts=1" in ended
    stopped = re.search(r"Interrupted: (\d epochs and \d batches) are saved\. Continue with:\n", said)
    assert stopped, said
    assert f"Continuing after {stopped[1]}" in said
    assert record(folder) == record(of_two_nodes)


def test_a_cancelled_job_ends_in_order(slurm, arguments, logs, of_two_nodes):
    job = slurm.submit(TRAIN, *arguments)
    folder = logs / "folder" / f"job_{job}"
    halt_after_an_epoch(job, folder)
    slurm("scancel", job)  # which lets them go on
    assert "JobState=CANCELLED" in slurm.wait_for_end(job)
    said = slurm.output(job)
    assert "Traceback" not in said
    assert not list(folder.glob(".*.tmp"))
    assert torch.load(folder / "last.pt", weights_only=True)
    hint = re.findall(r"Interrupted: \d epochs and \d batches are saved\. Continue with:\n  (.*)\n", said)
    assert hint == [shlex.join(["srun", *ON_TWO_NODES, "python", TRAIN, "--resume-run", str(folder)])], said

    slurm(*[sys.executable if word == "python" else word for word in shlex.split(hint[0])])
    assert record(folder) == record(of_two_nodes)


def test_without_srun_a_process_works_alone(slurm, evaluation):
    """In an allocation's shell, where all variables of its two tasks are set."""
    works_alone(slurm("salloc", *ON_TWO_NODES, *evaluation))


def test_in_the_shell_of_a_step_a_process_works_alone(slurm, evaluation):
    """Which srun started, and all variables say so; but it has a terminal."""
    in_a_terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    step = [sys.executable, "-c", in_a_terminal, "srun", *ON_TWO_NODES, "--pty", "sh"]
    works_alone(slurm(*step, typed=shlex.join(evaluation) + "; exit\n"))


@pytest.fixture
def evaluation(of_two_nodes) -> list[str]:
    program = str(ROOT / "code" / "evaluate.py")
    return [sys.executable, program, "--ckpt", str(of_two_nodes / "last.pt"), "--workers", "0"]


def works_alone(said: str) -> None:
    assert "R@1" in said
    assert said.count("SLURM reserved 2 tasks, but this process was not started by srun") == 1
