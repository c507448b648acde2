"""IDML as a user runs it: trained, stopped and continued, and asked how uncertain it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from PIL import Image

from dml.methods.mixup import MixupMethod
from dml.models import create_model
from dml.models.convert import CHECKPOINT_FORMAT
from entrypoints import SMALL, record, run_inside


@pytest.fixture(scope="module")
def few_digits(digits, tmp_path_factory) -> Path:
    """Two classes to train on, two to test on: two batches an epoch."""
    folder = tmp_path_factory.mktemp("few_digits")
    for digit in range(4):
        shutil.copytree(digits / f"digit_{digit}", folder / f"digit_{digit}")
    return folder


def arguments(images: Path, logs: Path, name: str) -> list:
    common = ["--dataset", "folder", "--data-dir", images, "--log-dir", logs, *SMALL, "--run-name", name]
    return [*common, "--introspective", "--recipe", "idml", "--epochs", "2", "--metrics", "recall", "map_at_r"]


def test_trained_continued_and_evaluated(few_digits, tmp_path, capsys, monkeypatch):
    said = run_inside("train.py", *arguments(few_digits, tmp_path, "whole"), status=0, capsys=capsys).out
    assert "IDML defaults" in said
    whole, stopped = tmp_path / "folder" / "whole", tmp_path / "folder" / "stopped"
    trained = next(line for line in record(whole) if line["epoch"] == 1)
    assert {"train/loss", "train/plain_loss", "train/mixup_loss"} <= set(trained)

    start_epoch = MixupMethod.start_epoch

    def interrupted(self, progress):
        if progress.epoch == 1:
            raise KeyboardInterrupt
        start_epoch(self, progress)

    with monkeypatch.context() as patch:
        patch.setattr(MixupMethod, "start_epoch", interrupted)
        run_inside("train.py", *arguments(few_digits, tmp_path, "stopped"), status=130, capsys=capsys)
    assert len(record(stopped)) < len(record(whole))
    run_inside("train.py", "--resume-run", stopped, status=0, capsys=capsys)
    assert record(stopped) == record(whole), "mixing draws other shares and partners after a continuation"

    files = ["--uncertainty", "--json", tmp_path / "m.json", "--workers", "0"]
    said = run_inside("evaluate.py", "--ckpt", whole / "last.pt", *files, status=0, capsys=capsys).out
    assert "rank correlation with retrieval error" in said
    metrics = json.loads((tmp_path / "m.json").read_text())
    assert metrics["eval/recall_at_1"] == record(whole)[-1]["eval/recall_at_1"]
    assert {"eval/uncertainty_vs_lost_precision", "eval/uncertainty_vs_wrong_nearest"} <= set(metrics)
    assert Image.open(whole / "uncertainty.png").width > 500


def test_a_network_without_the_head_is_refused(tmp_path, capsys):
    model, file = create_model("resnet18", embedding_size=4, pretrained=False), tmp_path / "plain.pt"
    described = {"architecture": asdict(model.architecture), "config": {"data": {"dataset": "folder"}}}
    torch.save({"format": CHECKPOINT_FORMAT, "model": model.state_dict(), **described}, file)
    said = run_inside("evaluate.py", "--ckpt", file, "--uncertainty", status=2, capsys=capsys).err
    assert "no uncertainty head" in said


def test_the_picture_needs_the_question(capsys):
    said = run_inside("evaluate.py", "--ckpt", "x.pt", "--uncertainty-gallery", "x.png", status=2, capsys=capsys).err
    assert "--uncertainty-gallery needs --uncertainty" in said
