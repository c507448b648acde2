"""What surrounds a run may be small, missing or strange: it ends in order and says what helps, or does without."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile

import pytest
import torch

from dml.training.compiling import require_compiler
from entrypoints import ROOT, SMALL, environment, record, run, run_inside
from training.test_launcher import BATCH_SCRIPT


@pytest.fixture
def arguments(digits, tmp_path) -> list[str]:
    return ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), *SMALL, "--epochs", "1"]


def can_mount() -> bool:
    """Whether this test may have a /dev/shm of its own."""
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"]
    return subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="only root may have a small /dev/shm of its own")
def test_shared_memory_that_does_not_suffice_ends_the_run_with_the_way_out(arguments, tmp_path):
    words = [*arguments, "--run-name", "small", "--workers", "1", "--crop-size", "64", "--resize", "64"]
    program = [sys.executable, str(ROOT / "code" / "train.py"), *words]
    command = ["sh", "-c", 'mount -t tmpfs -o size=512k tmpfs /dev/shm && exec "$@"', "sh", *program]
    done = subprocess.run(
        ["unshare", "-m", *command],
        cwd=tempfile.gettempdir(),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert "shared memory (/dev/shm), of 0 MiB in all, is full" in said or "of 1 MiB in all" in said
    assert "--workers 0 none; a container gets more by --shm-size" in said
    folder = tmp_path / "folder" / "small"
    assert f"Stopped: 0 epochs and 0 batches are saved. Continue with:\n  python {ROOT}/code/train.py" in done.stdout
    run("train.py", "--resume-run", folder, "--workers", "0")
    assert record(folder)[-1]["epoch"] == 1


def test_a_stream_of_few_characters_gets_plain_ones(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    trained = run("train.py", *arguments, "--run-name", "µ")
    assert f"run folder: {tmp_path}/folder/mu" in trained.stdout  # how it is written here, not how it is named
    reported = run("report.py", tmp_path / "folder", "--out", tmp_path / "report")
    assert trained.stdout.isascii() and reported.stdout.isascii()
    assert "Traceback" not in trained.stderr + reported.stderr


def test_without_a_compiler_nothing_is_begun(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    words = [*arguments, "--compile", "1", "--data-dir", tmp_path / "none"]  # and nothing is looked for
    said = run_inside("train.py", *words, status=2, capsys=capsys).err
    assert "--compile 1 needs a C++ compiler, and there is no no-such-compiler on this machine: install one" in said
    assert "or go on with --compile 0" in said
    assert not list(tmp_path.iterdir())


def test_variables_of_slurm_without_srun_start_and_hang_nothing(arguments, tmp_path, monkeypatch):
    """As in a batch script, or in the shell of an allocation, of four tasks."""
    for name, value in BATCH_SCRIPT.items():
        monkeypatch.setenv(name, value)
    done = run("train.py", *arguments, "--run-name", "alone")
    assert done.stderr.count("warning: SLURM reserved 8 tasks, but this process was not started by srun") == 1
    assert "processes" not in done.stdout
    assert record(tmp_path / "folder" / "alone")[-1]["epoch"] == 1


@pytest.mark.parametrize(("device", "variable", "language"), [("cpu", "CXX", r"C\+\+"), ("cuda", "CC", "C")])
def test_what_torch_compile_needs(monkeypatch, tmp_path, device, variable, language):
    monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=f"needs a {language} compiler"):
        require_compiler(torch.device(device))
    compiler = tmp_path / "my-compiler"
    compiler.touch(mode=0o755)
    monkeypatch.setenv(variable, "my-compiler --fast")
    require_compiler(torch.device(device))
