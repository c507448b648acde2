"""train_target.py runs as a user runs it: a source from train.py, targets that learn from it, a kill, going on."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pytest

from entrypoints import SMALL, record, run, run_inside, start

SETTINGS = [*SMALL[: SMALL.index("--lr-decay-step")], *SMALL[SMALL.index("--bn-freeze") :], "--warm", "0", "--IPC", "6"]


@pytest.fixture(scope="module")
def source(digits, logs) -> Path:
    """A checkpoint of train.py, 24-d."""
    arguments = ("--log-dir", logs, "--run-name", "source", "--embedding-size", "24", "--epochs", "1")
    run("train.py", "--dataset", "folder", "--data-dir", digits, *SMALL, *arguments)
    return logs / "folder" / "source" / "best.pt"


def arguments_of(digits: Path, source: Path, logs: Path, loss: str, name: str, *extra: str) -> list:
    words = ["--dataset", "folder", "--data-dir", digits, "--log-dir", logs, "--source-ckpt", source]
    return [*words, *SETTINGS, "--loss", loss, "--run-name", name, "--view", "2", "--epochs", "2", *extra]


@pytest.mark.parametrize("loss", ["Relaxed_Contra", "FitNet"])
def test_a_target_learns_and_says_from_what(digits, source, tmp_path, capsys, loss):
    said = run_inside(
        "train_target.py", *arguments_of(digits, source, tmp_path, loss, "target"), status=0, capsys=capsys
    ).out
    assert f"source {source}: resnet18, 24-d" in said
    assert "label relaxation's target defaults" in said
    assert (tmp_path / "folder" / "target" / "best.pt").exists()
    assert "it is not kept" not in said
    losses = [line["train/loss"] for line in record(tmp_path / "folder" / "target") if "train/loss" in line]
    assert losses[-1] < losses[0]


def test_a_cached_source_changes_nothing(digits, source, tmp_path, capsys):
    records = []
    for name in ("plain", "cached"):
        options = ("--augment", "0", "--view", "1", "--epochs", "1", "--cache-source", str(int(name == "cached")))
        words = arguments_of(digits, source, tmp_path, "RKD", name, *options)
        run_inside("train_target.py", *words, status=0, capsys=capsys)
        records.append([line["train/loss"] for line in record(tmp_path / "folder" / name) if "train/loss" in line])
    assert records[0] == pytest.approx(records[1], rel=1e-4)


def test_killed_and_resumed_equals_uninterrupted(digits, source, tmp_path):
    """With CRD, whose memories, normalisers and draws are all state."""
    options = ("--crd-negatives", "64", "--epochs", "3")
    run("train_target.py", *arguments_of(digits, source, tmp_path, "CRD", "whole", *options))
    process = start("train_target.py", *arguments_of(digits, source, tmp_path, "CRD", "killed", *options))
    folder, end = tmp_path / "folder" / "killed", time.monotonic() + 120
    while not (folder / "last.pt").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(record(folder)) < len(record(tmp_path / "folder" / "whole"))
    moved = tmp_path / "moved.pt"
    shutil.copy(source, moved)
    run("train_target.py", "--resume-run", folder, "--source-ckpt", moved, "--workers", "1")
    assert record(folder) == record(tmp_path / "folder" / "whole")
    config = json.loads((folder / "config.json").read_text())
    assert (config["transfer"]["source_ckpt"], config["data"]["workers"]) == (str(moved), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source-ckpt", "/nowhere.pth"], "/nowhere.pth: no such file"),
        (["--source-model", "resnet50"], "--source-model resnet50, but"),
        (["--source-embedding-size", "512"], "--source-embedding-size 512, but"),
    ],
)
def test_a_source_that_is_not_as_expected_ends_the_run(digits, source, tmp_path, capsys, arguments, message):
    words = arguments_of(digits, source, tmp_path, "RKD", "none", *arguments)
    assert message in run_inside("train_target.py", *words, status=2, capsys=capsys).err
    assert not list(tmp_path.glob("*/*")), "a run folder was made for a run that never began"
