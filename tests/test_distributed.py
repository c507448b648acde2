"""Two processes under torchrun train as one process with the same global batch does (batch normalisation frozen)."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from entrypoints import ROOT, SMALL, children_of, environment, record, run, wait_for

LAUNCHER = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def torchrun(entry: str, *arguments: str) -> str:
    """Two processes of ``code/<entry>``, of which one says what both meet; returns what they printed."""
    done = launched([*LAUNCHER, str(ROOT / "code" / entry), *map(str, arguments), "--gpu-id", "0"])
    assert done.stderr.count("no GPU is there") == 1
    return done.stdout


def launched(command: list[str]) -> subprocess.CompletedProcess:
    """Run two processes to their end, and require that it be a good one, without complaints about torch."""
    done = subprocess.run(
        command, cwd=tempfile.gettempdir(), env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
    return done


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_the_saved_network_is_the_evaluated_one(digits, tmp_path):
    """Running statistics are each process's own in training; what is evaluated and saved must be one network."""
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), *SMALL]
    torchrun("train.py", *arguments, "--epochs", "1", "--run-name", "bn")
    folder = tmp_path / "folder" / "bn"
    run("evaluate.py", "--ckpt", folder / "last.pt", "--json", tmp_path / "m.json", "--workers", "0")
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert record(folder)[-1] == {"epoch": 1} | {name: pytest.approx(value) for name, value in metrics.items()}


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(digits, logs, of_two):
    run("train.py", *plain(digits, logs), "--run-name", "one")
    same_run(logs / "folder" / "one", of_two)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find a process of torchrun's")
def test_one_of_two_processes_is_signalled_and_the_printed_command_goes_on(digits, logs, of_two):
    """Both stop at the same batch; what results is the record of the uninterrupted run."""
    command = [*LAUNCHER, str(ROOT / "code" / "train.py"), *plain(digits, logs), "--run-name", "stopped"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tempfile.gettempdir(), env=environment(), **pipes)
    folder = logs / "folder" / "stopped"
    wait_for(lambda: (folder / "last.pt").exists(), process)
    os.kill(children_of(process.pid)[-1], signal.SIGUSR1)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert re.search(r"Interrupted: 1 epochs and \d batches are saved. Continue with:\n", out), out
    hint = out.rstrip().splitlines()[-1]
    assert hint == f"  torchrun --standalone --nproc-per-node 2 {ROOT}/code/train.py --resume-run {folder}"
    launched([*LAUNCHER, *shlex.split(hint)[4:]])
    assert record(folder) == record(of_two)


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_fewer_test_images_than_processes(digits, tmp_path):
    for digit in range(5):
        part, number = ("train", 6) if digit < 3 else ("test", 1)
        (tmp_path / part / f"digit_{digit}").mkdir(parents=True)
        for path in sorted((digits / f"digit_{digit}").iterdir())[:number]:
            shutil.copy(path, tmp_path / part / path.parent.name)
    arguments = ["--dataset", "folder", "--data-dir", tmp_path, "--log-dir", tmp_path / "logs", *SMALL]
    arguments += ["--batch-size", "9", "--epochs", "1", "--run-name", "three"]
    done = launched([*LAUNCHER[:-1], "3", str(ROOT / "code" / "train.py"), *map(str, arguments)])
    assert "test 2 classes, 2 images" in done.stdout and "3 processes" in done.stdout
    assert record(tmp_path / "logs" / "folder" / "three")[-1]["eval/recall_at_1"] == 0  # alone of their classes


def plain(digits: Path, logs: Path) -> list[str]:
    """A warm-up epoch included, so that parameters are frozen and released under data-parallel training."""
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, "--epochs", "2"]
    return [*arguments, "--bn-freeze", "1", "--warm", "1", "--optimizer", "sgd", "--batch-size", "60"]


@pytest.fixture(scope="module")
def of_two(digits, logs) -> Path:
    """An uninterrupted run of two processes."""
    assert "2 processes" in torchrun("train.py", *plain(digits, logs), "--run-name", "two")
    return logs / "folder" / "two"


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes_transfer_as_one(digits, tmp_path):
    """Two views, so that the rows of both processes are brought together view by view; the source runs in each."""
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), *SMALL]
    arguments += ["--epochs", "1", "--bn-freeze", "1", "--optimizer", "sgd", "--batch-size", "60"]
    run("train.py", *arguments, "--run-name", "source")
    arguments += ["--source-ckpt", str(tmp_path / "folder" / "source" / "best.pt"), "--view", "2"]
    arguments += ["--recipe", "transfer_target"]
    run("train_target.py", *arguments, "--run-name", "one")
    torchrun("train_target.py", *arguments, "--run-name", "two")
    same_run(*(tmp_path / "folder" / name for name in ("one", "two")))


def same_run(one: Path, two: Path) -> None:
    """Losses, metrics and weights of two runs agree but for rounding."""
    assert len(record(one)) == len(record(two)) >= 2
    for ours, theirs in zip(record(one), record(two), strict=True):
        if "train/loss" in ours:
            assert theirs == pytest.approx(ours, rel=1e-4)
        else:
            assert theirs == pytest.approx(ours, abs=0.02)  # a neighbour of one query in 120 may change
    weights = [torch.load(folder / "last.pt", weights_only=True) for folder in (one, two)]
    for key in ("model", "method"):
        for name, value in weights[0][key].items():
            torch.testing.assert_close(weights[1][key][name], value, rtol=1e-3, atol=1e-3, msg=name)
