"""train_stml.py runs as a user runs it: without labels, with labels that say nothing, on after an interruption."""

from __future__ import annotations

import csv
import os
import random
import re
import signal
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from dml.methods.self_taught import SelfTaughtMethod
from dml.models import create_model
from dml.models.convert import CHECKPOINT_FORMAT
from dml.models.extract import background_of
from dml.programs import self_taught
from entrypoints import SMALL, record, run_inside

# Without the flags that train_stml.py does not have.
SETTINGS = [*SMALL[: SMALL.index("--batch-size")], *SMALL[SMALL.index("--workers") :], "--batch-size", "16"]
STML = ["--bg_embedding_size", "24", "--sigma", "3", "--IPC", "4", "--fix_lr", "true", "--momentum", "0.9"]
STML += ["--recipe", "stml"]
TRAIN, TEST = 48, 24


def list_of(digits: Path, file: Path, *, shuffled: bool = False) -> Path:
    """A CSV of a few images, two classes to train on and one to test; the training labels shuffled or not."""
    images = sorted(digits.glob("*/*.png"))[: TRAIN + TEST]
    labels = [path.parent.name for path in images]
    if shuffled:
        labels[:TRAIN] = random.Random(0).sample(labels[:TRAIN], TRAIN)
    labels[-1] = "another"  # a test split has two classes at least
    splits = ["train"] * TRAIN + ["test"] * TEST
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "label", "split"), *zip(images, labels, splits, strict=True)])
    return file


def arguments_of(data: Path, logs: Path, name: str, *extra: str) -> list:
    words = ["--dataset", "folder", "--data-dir", data, "--log-dir", logs, "--run-name", name, *SETTINGS]
    return [*words, "--epochs", "2", *extra]


def learned(folder: Path) -> dict[str, torch.Tensor]:
    """Everything that a run has learned: student, teacher, memories."""
    saved = torch.load(folder / "last.pt", weights_only=True)
    return saved["model"] | saved["method"]


def assert_same(folder: Path, other: Path) -> None:
    ours, theirs = learned(folder), learned(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.fixture
def whole(digits, logs, capsys) -> Path:
    """A run of two epochs of three batches, made once."""
    run = logs / "folder" / "whole"
    if not run.exists():
        data = list_of(digits, logs / "right.csv")
        said = run_inside("train_stml.py", *arguments_of(data, logs, "whole", *STML), status=0, capsys=capsys).out
        assert "stml: STML defaults where no flag says otherwise" in said
    return run


def test_interrupted_within_an_epoch_and_resumed_equals_uninterrupted(whole, logs, tmp_path, capsys, monkeypatch):
    update, calls = SelfTaughtMethod.after_backward, []

    def signalled(method):
        calls.append(method)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        update(method)

    monkeypatch.setattr(SelfTaughtMethod, "after_backward", signalled)
    words = arguments_of(logs / "right.csv", tmp_path, "stopped", *STML)
    published = run_inside("main.py", *words, status=130, capsys=capsys)
    assert "code/train_stml.py --resume-run" in published.out + published.err
    monkeypatch.undo()
    stopped = tmp_path / "folder" / "stopped"
    assert torch.load(stopped / "last.pt", weights_only=True)["state"]["batches_done"] == 2
    run_inside("train_stml.py", "--resume-run", stopped, status=0, capsys=capsys)
    assert record(stopped) == record(whole)
    assert_same(stopped, whole)


def test_shuffled_training_labels_give_the_same_weights(whole, digits, tmp_path, capsys):
    data = list_of(digits, tmp_path / "shuffled.csv", shuffled=True)
    run_inside("train_stml.py", *arguments_of(data, tmp_path, "shuffled", *STML), status=0, capsys=capsys)
    assert_same(tmp_path / "folder" / "shuffled", whole)


def test_neighbours_are_those_of_the_whole_training_images_by_the_background_embedding(
    whole, logs, tmp_path, capsys, monkeypatch
):
    asked, embed = [], self_taught.embed_records

    def watched(model, records, data, fabric, **how):
        asked.append((len(records), how["read"], how["whole_images"]))
        found = embed(model, records, data, fabric, **how)
        assert found.shape == (TRAIN, 24)
        return found

    monkeypatch.setattr(self_taught, "embed_records", watched)  # the program's; evaluation has its own name for it
    words = arguments_of(logs / "right.csv", tmp_path, "neighbours", *STML)
    run_inside("train_stml.py", *words, status=0, capsys=capsys)
    assert asked == [(TRAIN, background_of, True)] * 2


def test_a_baseline_trains_from_the_weights_of_a_run(whole, logs, tmp_path, capsys):
    own = ("--method", "meanshift", "--memory-size", "64", "--topk", "3", "--epochs", "1")
    words = arguments_of(logs / "right.csv", tmp_path, "meanshift", *own)
    run_inside("train_stml.py", *words, status=0, capsys=capsys)
    assert learned(tmp_path / "folder" / "meanshift")["criterion.queue.written"] == 3 * 2 * 16
    assert torch.load(tmp_path / "folder" / "meanshift" / "best.pt", weights_only=True)["epoch"] == 1
    said = run_inside("train_stml.py", *words, "--resume", whole / "last.pt", status=2, capsys=capsys).err
    assert "background head 24-d" in said


@pytest.fixture
def photographs(digits, logs, capsys) -> Path:
    """The run of a network trained on 24 photographs without classes, made once."""
    run = logs / "folder" / "photos"
    if not run.exists():
        photos = photographs_of(digits, logs / "photos")
        words = [*arguments_of(photos, logs, "photos", *STML, "--epochs", "1"), "--pictures", "1"]
        said = run_inside("train_stml.py", *words, status=0, capsys=capsys).out
        assert "folder: 24 images without classes" in said
        assert "best epoch" not in said
        assert "R@1 of finding an image's other crop among those of 24 images" in said
        assert re.search(r"^ *untrained  .*\n *trained \(epoch 1\)  ", said, re.MULTILINE)
    return run


def photographs_of(digits: Path, folder: Path, *, first: int = 0) -> Path:
    """A folder with every tenth of the images from the ``first`` on in it."""
    folder.mkdir()
    for number, path in enumerate(sorted(digits.glob("*/*.png"))[first::10]):
        (folder / f"{number:02d}.png").symlink_to(path)
    return folder


def evaluate(*arguments, status: int, capsys):
    """What evaluate.py prints."""
    return run_inside("evaluate.py", *arguments, "--workers", "0", "--batch-size", "16", status=status, capsys=capsys)


def test_photographs_without_classes_become_searchable(photographs, logs):
    with np.load(photographs / "embeddings.npz") as saved:
        assert saved["embeddings"].shape == (24, 16)
        assert saved["paths"].tolist() == [str(path) for path in sorted((logs / "photos").iterdir())]
    names = ("gallery.png", "curves.png", "tsne.html", "best.pt")
    assert all((photographs / name).stat().st_size > 0 for name in names)
    assert not any(key.startswith("eval/") for line in record(photographs) for key in line)
    views = record(photographs)[-1]
    assert all(0 <= views[f"views/{network}view_recall_at_1"] <= 1 for network in ("", "untrained_"))


def test_what_is_kept_of_photographs_is_the_last_network_with_a_baseline_too(photographs, logs, tmp_path, capsys):
    run_inside(
        "train_stml.py", *arguments_of(logs / "photos", tmp_path, "byol", "--method", "byol"), status=0, capsys=capsys
    )
    kept, last = (torch.load(tmp_path / "folder" / "byol" / name, weights_only=True) for name in ("best.pt", "last.pt"))
    assert (kept["epoch"], last["epoch"]) == (2, 2)
    assert all(torch.equal(value, last["model"][key]) for key, value in kept["model"].items())


def test_evaluation_leaves_what_the_run_left(photographs, tmp_path, capsys):
    arrays, gallery = tmp_path / "found.npz", tmp_path / "gallery.png"
    files = ("--save-embeddings", arrays, "--gallery", gallery)
    said = evaluate("--ckpt", photographs / "best.pt", *files, status=0, capsys=capsys).out
    assert "24 images without classes, and so no metrics" in said
    assert f"gallery: {gallery}" in said
    with np.load(arrays) as found, np.load(photographs / "embeddings.npz") as saved:
        assert set(found) == {"embeddings", "paths"}
        assert all(np.array_equal(found[name], saved[name]) for name in saved)
    assert gallery.read_bytes() == (photographs / "gallery.png").read_bytes()


@pytest.mark.parametrize("below", [False, True], ids=["flat", "in sub-folders"])
def test_new_photographs_are_embedded(photographs, digits, tmp_path, capsys, below):
    photos = photographs_of(digits, tmp_path / "new", first=5)
    if below:
        photos = tmp_path
    arrays, page = tmp_path / "new.npz", tmp_path / "new.html"
    files = ("--save-embeddings", arrays, "--tsne", page, *(["--unlabelled"] if below else []))
    evaluate("--ckpt", photographs / "best.pt", "--data-dir", photos, *files, status=0, capsys=capsys)
    assert "plotly" in page.read_text()
    with np.load(arrays) as found, np.load(photographs / "embeddings.npz") as saved:
        assert found["paths"].tolist() == [str(path) for path in sorted((tmp_path / "new").iterdir())]
        assert found["embeddings"].shape == (24, 16)
        assert not np.isclose(found["embeddings"], saved["embeddings"]).all(1).any(), "embeddings of other images"


def test_one_photograph_is_enough_to_search_with(photographs, digits, tmp_path, capsys):
    photos, arrays = tmp_path / "one", tmp_path / "one.npz"
    photos.mkdir()
    (photos / "1.png").symlink_to(next(digits.glob("*/*.png")))
    words = ("--ckpt", photographs / "best.pt", "--data-dir", photos, "--save-embeddings", arrays)
    evaluate(*words, status=0, capsys=capsys)
    with np.load(arrays) as found:
        assert found["embeddings"].shape == (1, 16)
    said = evaluate(*words, "--gallery", tmp_path / "g.png", status=2, capsys=capsys).err
    assert re.search(r"1 image\(s\) below .*: at least 2 are needed", said)


def test_a_network_that_learned_from_classes_embeds_photographs(digits, tmp_path, capsys):
    model, file = create_model("resnet18", embedding_size=4, pretrained=False), tmp_path / "supervised.pt"
    described = {"architecture": asdict(model.architecture), "config": {"data": {"dataset": "cub", "crop_size": 32}}}
    torch.save({"format": CHECKPOINT_FORMAT, "model": model.state_dict(), **described}, file)
    photos, arrays = photographs_of(digits, tmp_path / "photos"), tmp_path / "found.npz"
    words = ("--ckpt", file, "--dataset", "folder", "--data-dir", photos, "--save-embeddings", arrays)
    assert "24 images without classes" in evaluate(*words, status=0, capsys=capsys).out
    with np.load(arrays) as found:
        assert np.linalg.norm(found["embeddings"], axis=1) == pytest.approx(1, abs=1e-5), "of unit length, as trained"


def test_evaluation_without_classes_gives_no_metrics(photographs, tmp_path, capsys):
    checkpoint = ("--ckpt", photographs / "best.pt")
    said = evaluate(*checkpoint, status=2, capsys=capsys).err
    assert "say what to make of their embeddings by --save-embeddings FILE" in said
    said = evaluate(*checkpoint, "--json", tmp_path / "metrics.json", status=2, capsys=capsys).err
    assert said.startswith("evaluate.py: error: --json: the images have no classes")
    assert not any(tmp_path.iterdir())


def test_classes_cannot_be_held_out_where_there_are_none(digits, tmp_path, capsys):
    for flags, message in (
        (("--val-split", "0.5"), "no classes to hold out"),
        (("--visualize",), "shows test classes"),
        (("--eval-first",), "--eval-first: there are no classes to judge by"),
        (("--train-metrics", "1"), "--train-metrics: there are"),
        (("--select", "val"), "--select: there are"),
        (("--metrics", "nmi"), "--metrics: there are"),
        (("--storage-metrics", "nmi"), "--storage-metrics: there are"),
    ):
        words = arguments_of(digits, tmp_path, "none", *STML, "--unlabelled", *flags)
        assert message in run_inside("train_stml.py", *words, status=2, capsys=capsys).err


def test_a_batch_smaller_than_its_neighbours_ends_the_run_before_it_begins(digits, tmp_path, capsys):
    words = arguments_of(digits, tmp_path, "none", *STML, "--IPC", "25")
    assert "smaller than --num-neighbors 25" in run_inside("train_stml.py", *words, status=2, capsys=capsys).err
    assert not (tmp_path / "folder").exists()
