"""Two processes under torchrun train as one process with the same global batch does (batch normalisation frozen)."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest
import torch

from entrypoints import ROOT, SMALL, environment, record, run


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(digits, tmp_path):
    """A warm-up epoch included, so that parameters are frozen and released under data-parallel training."""
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), *SMALL]
    arguments += ["--epochs", "2", "--bn-freeze", "1", "--warm", "1", "--optimizer", "sgd", "--batch-size", "60"]
    run("train.py", *arguments, "--run-name", "one")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, str(ROOT / "code" / "train.py"), *arguments, "--run-name", "two"]
    done = subprocess.run(command, cwd=tempfile.gettempdir(), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    one, two = (tmp_path / "folder" / name for name in ("one", "two"))
    assert len(record(one)) == len(record(two)) == 4
    for ours, theirs in zip(record(one), record(two), strict=True):
        if "train/loss" in ours:
            assert theirs == pytest.approx(ours, rel=1e-4)
        else:
            assert theirs == pytest.approx(ours, abs=0.02)  # a neighbour of one query in 120 may change
    weights = [torch.load(folder / "last.pt", weights_only=True) for folder in (one, two)]
    for key in ("model", "method"):
        for name, value in weights[0][key].items():
            torch.testing.assert_close(weights[1][key][name], value, rtol=1e-3, atol=1e-3, msg=name)
