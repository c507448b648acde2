"""Runs the entry points as a user does: in a process of their own, from another directory."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parent.parent

# A network and pictures that two CPU threads train in seconds, by settings that do not follow the size of a set.
SMALL = [
    *("--model", "resnet18", "--pretrained", "0", "--embedding-size", "16", "--crop-size", "32", "--resize", "32"),
    *("--batch-size", "24", "--lr", "3e-4", "--lr-decay-step", "2"),
    *("--warm", "0", "--recipe", "proxy_anchor", "--bn-freeze", "0"),
    *("--workers", "0", "--wandb", "disabled", "--pictures", "0", "--data-name", "folder"),
]
TIMINGS = ("seconds", "data_wait", "images_per_second")


def environment() -> dict[str, str]:
    """Two threads, no GPU, no login, no proxy for W&B to find."""
    return os.environ | {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}


def start(entry: str, *arguments: str, **options) -> subprocess.Popen:
    """Start ``code/<entry>`` with ``arguments``."""
    command = [sys.executable, str(ROOT / "code" / entry), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=tempfile.gettempdir(), env=environment(), **(pipes | options))


def wait_for(condition: Callable[[], bool], process: subprocess.Popen, seconds: float = 120) -> None:
    """Wait until ``condition`` holds, while ``process`` lives."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """The processes that it started and that live. Linux."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def run(entry: str, *arguments: str, status: int = 0) -> subprocess.CompletedProcess:
    """Run to the end and require the exit status."""
    process = start(entry, *arguments)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, f"exit {process.returncode}\n{out}\n{err}"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def run_inside(entry: str, *arguments: str, status: int, capsys):
    """The same within this process, which saves the seconds of starting another; returns what was printed."""
    words = [entry, *map(str, arguments)]
    with mock.patch.object(sys, "argv", words), pytest.raises(SystemExit) as stop:
        runpy.run_path(str(ROOT / "code" / entry), run_name="__main__")
    printed = capsys.readouterr()
    assert stop.value.code == status, printed.err
    return printed


def record(folder: Path) -> list[dict]:
    """metrics.jsonl without the timings."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k.split("/")[-1] not in TIMINGS} for line in lines]
