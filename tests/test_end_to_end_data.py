"""Training on wrong labels with batches chosen by features, stopped and continued."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dml.training import checkpoint
from entrypoints import SMALL, record, run_inside

NOISY = [
    *("--use_tv_split", "--tv_split_by_samples", "--noisy_label", "--noisy_ratio", "0.25", "--augmentation", "adv"),
    *("--sampler", "greedy_coreset", "--samples_per_class", "2", "--data_idx_full_prec"),
    *("--data_mb_mom", "0.5", "--run-name", "noisy"),
]


@pytest.fixture
def stopped(tmp_path, monkeypatch) -> Path:
    """Where the run's folder will be as it was after the first epoch."""
    folder, save = tmp_path / "stopped", checkpoint.save_atomically

    def save_and_copy(state: dict, path: Path) -> None:
        save(state, path)
        if path.name == "last.pt" and not folder.exists():
            shutil.copytree(path.parent, folder)

    monkeypatch.setattr(checkpoint, "save_atomically", save_and_copy)
    return folder


def test_a_noisy_run_continued_equals_one_that_was_not_stopped(digits, tmp_path, stopped, capsys):
    place = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path]
    said = run_inside("train.py", *place, *SMALL, *NOISY, "--epochs", "2", status=0, capsys=capsys).out
    assert "best epoch by recall_at_1 on held-out images of the training classes" in said
    whole = tmp_path / "folder" / "noisy"
    with np.load(whole / "label_noise.npz") as saved:
        assert (saved["labels"] != saved["true_labels"]).all()
        assert f"{len(saved['labels'])} of them with a wrong label" in said
    assert any("val/recall_at_1" in line for line in record(whole))

    assert len(record(stopped)) < len(record(whole))
    run_inside("train.py", "--resume-run", stopped, status=0, capsys=capsys)
    assert record(stopped) == record(whole)
    ours, theirs = (torch.load(folder / "last.pt", weights_only=True) for folder in (stopped, whole))
    assert {"storage.features", "storage.change"} <= set(ours["method"])
    for part in ("model", "method"):
        for name, value in ours[part].items():
            torch.testing.assert_close(value, theirs[part][name], rtol=0, atol=0, msg=name)

    (stopped / "label_noise.npz").write_bytes((stopped / "config.json").read_bytes())
    assert (
        "label_noise.npz cannot be read" in run_inside("train.py", "--resume-run", stopped, status=2, capsys=capsys).err
    )
