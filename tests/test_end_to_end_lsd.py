"""Self-distillation as a user runs it: wrong labels, mined triplets, killed and continued; batches by features."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from entrypoints import SMALL, record, run, run_inside, start, wait_for

LSD = [
    *("--loss", "triplet_lsd", "--batch_mining", "distance", "--arch", "resnet18_normalize", "--kd_alpha", "50"),
    *("--noisy_label", "--noisy_ratio", "0.3", "--n_epochs", "4", "--metrics", "e_recall@1", "--no_train_metrics"),
    *("--recipe", "lsd"),
]


def arguments(digits: Path, logs: Path, *extra: str) -> list[str]:
    return ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, *extra]


def method_state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.pt", weights_only=True)["method"]


@pytest.fixture(scope="module")
def whole(digits, logs) -> Path:
    """The folder of an uninterrupted run."""
    run("train.py", *arguments(digits, logs, *LSD, "--run-name", "whole"))
    return logs / "folder" / "whole"


def test_killed_and_resumed_equals_uninterrupted(digits, logs, whole, capsys):
    """The teacher, the miner's draws and the wrong labels are those of the run that nobody stopped."""
    process = start("train.py", *arguments(digits, logs, *LSD, "--run-name", "killed"))
    killed = logs / "folder" / "killed"
    wait_for(lambda: (killed / "last.pt").exists() and record(killed)[-1]["epoch"] >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run_inside("train.py", "--resume-run", killed, status=0, capsys=capsys)
    assert record(killed) == record(whole)
    states = method_state(killed), method_state(whole)
    assert any(name.startswith("distillation.teacher.") for name in states[0])
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def test_what_the_run_keeps(whole, tmp_path, capsys):
    with np.load(whole / "label_noise.npz") as noise:
        assert any(len(noise[name]) == round(0.3 * 120) for name in noise.files)
    kept = torch.load(whole / "best.pt", weights_only=True)["method"]
    assert not any(name.startswith("distillation.") for name in kept)
    run_inside("evaluate.py", "--ckpt", whole / "last.pt", "--json", tmp_path / "metrics.json", status=0, capsys=capsys)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    last = [line for line in record(whole) if "eval/e_recall_at_1" in line][-1]
    assert metrics["eval/e_recall_at_1"] == last["eval/e_recall_at_1"], "the run's own metrics come first"
    assert "eval/map_at_r" in metrics, "and those that networks are compared by"
    lines = [line for line in record(whole) if "train/kd_loss" in line]
    assert [line["epoch"] for line in lines] == [2, 3, 4], "the first epoch has nothing to distil"
    assert json.loads((whole / "config.json").read_text())["distillation"]["kd_alpha"] == 50


def test_features_choose_the_batches(digits, tmp_path, capsys):
    words = ["--loss", "multisimilarity", "--data_sampler", "fid_batchmatch", "--data_batchmatch_bigbs", "60"]
    words += ["--n_epochs", "2", "--metrics", "e_recall@1", "--no_train_metrics", "--run-name", "features"]
    words += ["--recipe", "lsd"]
    run_inside("train.py", *arguments(digits, tmp_path, *words), status=0, capsys=capsys)
    features = method_state(tmp_path / "folder" / "features")["storage.features"]
    assert features.shape == (120, 16)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(120))
