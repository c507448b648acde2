"""Under a real SLURM: two nodes train as one process, jobs stop at a batch and go on without a hand, nothing hangs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from entrypoints import ROOT, SMALL, environment, record, run
from slurm_cluster import cluster, why_not
from test_distributed import same_run

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

TRAIN = str(ROOT / "code" / "train.py")
ON_TWO_NODES = ("--nodes", "2", "--ntasks-per-node", "1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Runs a command of SLURM's, or under it, from an empty folder, in two minutes at most; returns what it printed."""
    folder = tmp_path_factory.mktemp("slurm")
    with cluster(folder / "cluster") as variables:

        def call(*command: str, status: int = 0) -> str:
            words = list(map(str, command))
            done = subprocess.run(
                words,
                cwd=folder,
                env=environment() | variables | {"PYTHON": sys.executable},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
            )
            assert done.returncode == status, done.stdout
            return done.stdout

        call.folder = folder
        yield call


@pytest.fixture(scope="module")
def arguments(digits, logs) -> list[str]:
    words = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, "--epochs", "4"]
    return [*words, "--bn-freeze", "1", "--optimizer", "sgd"]


@pytest.fixture(scope="module")
def of_two_nodes(slurm, arguments, logs) -> Path:
    """An uninterrupted run of two tasks."""
    said = slurm("srun", *ON_TWO_NODES, sys.executable, TRAIN, *arguments, "--run-name", "two")
    assert "2 processes" in said
    assert "deprecated" not in said
    return logs / "folder" / "two"


def test_two_nodes_train_as_one_process(arguments, logs, of_two_nodes):
    run("train.py", *arguments, "--run-name", "one")
    same_run(logs / "folder" / "one", of_two_nodes)


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_a_job_makes_room_is_requeued_and_goes_on_and_can_be_cancelled(slurm, arguments, logs, of_two_nodes):
    script = ROOT / "scripts" / "slurm" / "train.sbatch"
    number = slurm("sbatch", "--parsable", *ON_TWO_NODES, script, TRAIN, *arguments).strip()
    folder, output = logs / "folder" / f"job_{number}", slurm.folder / f"dml_{number}.out"
    wait_until((folder / "last.pt").exists)
    slurm("scancel", "--signal=USR1", number)  # as `--signal=USR1@120` does, 120 seconds before the end
    wait_until(lambda: "Continuing after" in output.read_text())
    said = output.read_text()
    done = re.search(r"Interrupted: (\d epochs and \d batches) are saved\. Continue with:\n  (.*)\n", said)
    assert done, said
    assert f"Continuing after {done[1]}" in said
    assert done[2] == shlex.join(["srun", *ON_TWO_NODES, "python", TRAIN, "--resume-run", str(folder)])

    slurm("scancel", number)
    wait_until(lambda: number not in slurm("squeue", "--noheader", "--format=%i"))
    assert "JobState=CANCELLED" in slurm("scontrol", "show", "job", number)
    said = output.read_text()
    assert said.count("Interrupted: ") == 2
    assert "Traceback" not in said
    assert not list(folder.glob(".*.tmp"))

    srun, *words = shlex.split(done[2])
    slurm(srun, *[sys.executable if word == "python" else word for word in words])
    assert record(folder) == record(of_two_nodes)


@pytest.mark.parametrize("shell", [("salloc",), ("salloc", "srun", "--nodes", "1", "--ntasks", "1")], ids=" ".join)
def test_without_srun_a_process_works_alone(slurm, digits, of_two_nodes, shell):
    """In an allocation's shell, where all variables of its two tasks are set; and in a step of one task."""
    allocate, *step = shell
    evaluate = [sys.executable, ROOT / "code" / "evaluate.py", "--ckpt", of_two_nodes / "last.pt", "--workers", "0"]
    said = slurm(allocate, *ON_TWO_NODES, *step, *evaluate)
    assert "R@1" in said
    if not step:
        assert "SLURM reserved 2 tasks, but this process was not started by srun" in said
