"""Runs that start from the weights of others, named by their folders: no labels, then labels, then a classifier, and
back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from entrypoints import record, run, run_inside

NETWORK = ["--model", "resnet18", "--crop-size", "32", "--resize", "32", "--workers", "0"]
RUN = [*NETWORK, "--pretrained", "0", "--epochs", "1", "--wandb", "disabled", "--pictures", "0"]
STML = ["--unlabelled", "--bg_embedding_size", "24", "--IPC", "4", "--batch-size", "16"]
LABELS = ["--batch-size", "16", "--warm", "0", "--lr", "1e-5"]


@pytest.fixture(scope="module")
def images(digits, tmp_path_factory) -> Path:
    """Four classes of twelve images each."""
    folder = tmp_path_factory.mktemp("images")
    for digit in range(4):
        (folder / f"digit_{digit}").mkdir()
        for path in sorted((digits / f"digit_{digit}").iterdir())[::2]:
            shutil.copy(path, folder / path.parent.name)
    return folder


@pytest.fixture(scope="module")
def start(images, logs):
    """Starts a run in this process, or in one of its own; gives its folder and what it printed."""

    def make(entry: str, name: str, *flags, capsys=None) -> tuple[Path, str]:
        words = ["--dataset", "folder", "--data-dir", images, "--data-name", "folder", "--log-dir", logs]
        words += ["--run-name", name, *RUN, *flags]
        said = run(entry, *words).stdout if capsys is None else run_inside(entry, *words, status=0, capsys=capsys).out
        return logs / "folder" / name, said

    return make


@pytest.fixture(scope="module")
def unlabelled(start) -> Path:
    """STML without labels: 16-d, with a background head."""
    return start("train_stml.py", "stml", "--embedding_size", "16", *STML)[0]


@pytest.fixture(scope="module")
def labelled(start, unlabelled) -> tuple[Path, str]:
    """Proxy-Anchor from it."""
    return start("train.py", "anchored", "--embedding-size", "16", *LABELS, "--init-from", unlabelled)


def weights(file: Path) -> dict[str, torch.Tensor]:
    return torch.load(file, weights_only=True)["model"]


def furthest(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor], part: str) -> float:
    """The largest difference between the weights of one part."""
    names = [name for name in ours if name.startswith(part) and name.endswith("weight")]
    return max((ours[name] - theirs[name]).abs().max().item() for name in names)


def test_labels_after_none(labelled, unlabelled):
    folder, said = labelled
    assert f"starting from {unlabelled / 'last.pt'}: resnet18, 16-d" in said, "the last of a run that nothing judged"
    assert "checkpoint of this project, epoch 1" in said
    assert "taken: 120 tensors of the backbone, 2 of the embedding head; left: background head (no such head" in said
    ours, theirs = weights(folder / "last.pt"), weights(unlabelled / "last.pt")
    for part in ("backbone.conv1", "backbone.layer4", "embedding"):
        assert 0 < furthest(ours, theirs, part) < 2e-4, "not started from there, or not trained"


def test_the_record_says_where_it_started_and_a_continuation_needs_it_no_more(labelled, unlabelled, tmp_path, capsys):
    folder = labelled[0]
    assert json.loads((folder / "config.json").read_text())["model"]["init_from"] == str(unlabelled / "last.pt")
    moved = unlabelled.rename(tmp_path / "stml")
    try:
        before = record(folder)
        said = run_inside("train.py", "--resume-run", folder, status=0, capsys=capsys).out
    finally:
        moved.rename(unlabelled)
    assert "Continuing after 1 epochs" in said
    assert "starting from" not in said
    assert record(folder) == before


def test_a_classifier_after_embeddings_and_back(labelled, start, capsys):
    anchored = labelled[0]
    flags = ("--stem", "imagenet", "--batch-size", "16", "--lr", "1e-4")
    folder, said = start("classify.py", "classifier", *flags, "--init-from", anchored, capsys=capsys)
    assert f"starting from {anchored / 'best.pt'}: resnet18, 16-d" in said
    assert "left: embedding head (no such head here); starting anew: classifier head" in said
    assert 0 < furthest(weights(folder / "last.pt"), weights(anchored / "best.pt"), "backbone.layer4") < 1e-2
    said = run_inside("classify.py", "--evaluate", folder, "--workers", "0", status=0, capsys=capsys).out
    assert said.startswith(f"{folder / 'best.pt'}: resnet18 (imagenet stem), 4 classes")

    back, said = start("train.py", "back", "--embedding-size", "16", *LABELS, "--init-from", folder, capsys=capsys)
    assert f"starting from {folder / 'best.pt'}: resnet18, a classifier of 4 classes" in said
    assert "left: classifier head (no such head here); starting anew: embedding head" in said
    assert 0 < furthest(weights(back / "last.pt"), weights(folder / "best.pt"), "backbone.layer4") < 2e-4


def test_a_target_from_a_run_with_a_run_as_its_source(labelled, start, capsys):
    anchored = labelled[0]
    flags = ("--embedding-size", "8", *LABELS, "--source-ckpt", anchored, "--init-from", anchored)
    folder, said = start("train_target.py", "target", *flags, capsys=capsys)
    assert f"source {anchored / 'best.pt'}: resnet18, 16-d" in said
    assert "left: embedding head (of another size); starting anew: embedding head" in said
    config = json.loads((folder / "config.json").read_text())
    assert config["transfer"]["source_ckpt"] == config["model"]["init_from"] == str(anchored / "best.pt")


def test_no_labels_after_labels(labelled, unlabelled, start, capsys):
    anchored = labelled[0]
    flags = ("--embedding_size", "16", *STML)
    folder, said = start("train_stml.py", "lenient", *flags, "--init-from", anchored, capsys=capsys)
    assert json.loads((folder / "config.json").read_text())["self_taught"]["teacher_init"] == "student"
    assert "taken: 120 tensors of the backbone, 2 of the embedding head; starting anew: background head" in said
    said = start("train_stml.py", "strict", *flags, "--resume", unlabelled, capsys=capsys)[1]
    assert f"starting from {unlabelled / 'last.pt'}" in said
    assert "2 of the background head" in said


def test_evaluation_of_a_run(labelled, unlabelled, tmp_path, capsys):
    words = ("--workers", "0", "--batch-size", "16")
    said = run_inside("evaluate.py", "--ckpt", labelled[0], *words, status=0, capsys=capsys).out
    assert said.startswith(f"{labelled[0] / 'best.pt'}: resnet18, 16-d")
    files = ("--save-embeddings", tmp_path / "found.npz")
    said = run_inside("evaluate.py", "--resume", unlabelled, *words, *files, status=0, capsys=capsys).out
    assert said.startswith(f"{unlabelled / 'last.pt'}: resnet18, 16-d")


@pytest.mark.parametrize(
    ("entry", "flags", "message"),
    [
        ("train.py", ("--model", "resnet34", "--init-from"), "holds resnet18, but resnet34 is to be trained"),
        ("classify.py", ("--init-from",), "holds resnet18, but resnet18 with the cifar stem is to be trained"),
        (
            "train.py",
            ("--weights", "PLACE/best.pt", "--init-from"),
            "--init-from brings weights, and so does",
        ),
        ("train.py", ("--pretrained", "1", "--weights"), "--init-from takes the folder of a run"),
        ("train.py", ("--init-from", "/nowhere/best.pt", "--source"), "--init-from: no such file: /nowhere/best.pt"),
        ("train.py", ("--init-from", "PLACE/..", "--source"), "neither a checkpoint nor a run folder"),
        ("train.py", ("--init-from", "PLACE/config.json", "--source"), "config.json: expected a file written by torch"),
    ],
    ids=["backbone", "stem", "two places", "weights", "no file", "no run", "no checkpoint"],
)
def test_what_cannot_be_started_from_is_said_before_data_are_read(labelled, capsys, entry, flags, message):
    words = [str(word).replace("PLACE", str(labelled[0])) for word in flags]
    nowhere = ("--dataset", "folder", "--data-dir", "/nowhere")
    assert message in run_inside(entry, *nowhere, *NETWORK, *words, labelled[0], status=2, capsys=capsys).err


def test_a_checkpoint_in_place_of_imagenet_weights(labelled, images, tmp_path, capsys):
    words = ("--dataset", "folder", "--data-dir", images, *NETWORK, "--log-dir", tmp_path, *LABELS)
    file = labelled[0] / "best.pt"
    said = run_inside("train.py", *words, "--weights", file, status=2, capsys=capsys).err
    assert f"--init-from {file} starts from it" in said
