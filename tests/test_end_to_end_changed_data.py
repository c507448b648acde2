"""Images that change while a run is under way, and after it, as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from dml.data import DatasetWarning
from dml.methods.supervised import SupervisedMethod
from entrypoints import SMALL, record, run, run_inside

BATCH = 8
SETTINGS = [*SMALL[: SMALL.index("--data-name")], "--batch-size", str(BATCH), "--epochs", "2", "--optimizer", "sgd"]
QUIET = SimpleNamespace(readouterr=lambda: SimpleNamespace(out="", err=""))


def make_photos(root: Path, names: str | list[str], start: int = 0, number: int = 6) -> Path:
    """Noise, of other numbers of bytes in every class."""
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + number):
            size = (20 + i, 10 + sum(name.encode()) % 97, 3)
            pixels = np.random.default_rng([*name.encode(), i]).integers(0, 256, size, dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def stopped(logs) -> Path:
    """A run of which the first epoch and two of three batches are done."""
    photos, steps = make_photos(logs / "images" / "photos", "abcdefgh"), []

    def stop(method: SupervisedMethod) -> None:
        steps.append(method)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    words = ["--dataset", "folder", "--data-dir", photos, "--log-dir", logs, "--run-name", "stopped", *SETTINGS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SupervisedMethod, "after_optimizer_step", stop)
        run_inside("train.py", *words, status=130, capsys=QUIET)
    return logs / "photos" / "stopped"  # named after the folder of the images


@pytest.fixture
def copied(stopped, tmp_path) -> tuple[Path, Path]:
    """A copy of that run, and one of its images, which stand elsewhere then."""
    shutil.copytree(stopped, tmp_path / "stopped")
    shutil.copytree(stopped.parents[1] / "images" / "photos", tmp_path / "photos")
    return tmp_path / "stopped", tmp_path / "photos"


def rows(folder: Path, name: str = "split.csv") -> dict[str, tuple[str, str]]:
    """Path → label and split."""
    with (folder / name).open(newline="") as file:
        return {row["path"]: (row["label"], row["split"]) for row in csv.DictReader(file)}


def yet_to_come(folder: Path) -> list[str]:
    """Paths of the images of the batch that is left of the epoch."""
    plan = torch.load(folder / "last.pt", weights_only=True)["state"]["plan"]
    return [list(rows(folder))[index] for index in plan[2].tolist()]


def goes_on_quietly(folder: Path, capsys) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DatasetWarning)
        run_inside("train.py", "--resume-run", folder, status=0, capsys=capsys)


def test_the_split_is_on_record(stopped):
    assert sorted({split for _, split in rows(stopped).values()}) == ["test", "train"] and len(rows(stopped)) == 48
    for name in ("last.pt", "best.pt"):
        split = torch.load(stopped / name, weights_only=True)["split"]
        assert split["train_classes"] == list("abcd") and split["test_classes"] == list("efgh")
    assert json.loads((stopped / "config.json").read_text())["data"]["data_name"] == "photos"


def test_files_gone_and_a_class_renamed_while_a_run_was_stopped(copied, capsys):
    folder, photos = copied
    gone = next(path for path in yet_to_come(folder) if not path.startswith("a/"))
    (photos / gone).unlink()
    (photos / "a").rename(photos / "z")
    make_photos(photos, ["new"])
    resume = ("--resume-run", folder, "--data-dir", photos)
    said = run("train.py", *resume, status=2).stderr.strip().splitlines()[-1]
    assert f"1 class renamed (a → z), 1 class new (new), 1 file gone ({gone}), 6 new (new/0.png, " in said
    assert "--accept-changes 1" in said
    done = run("train.py", *resume, "--accept-changes", "1")
    assert "epoch 2 was yet to train on are gone: it begins again" in done.stderr
    assert "6 images have no place in the run" in done.stderr
    assert [line["epoch"] for line in record(folder)] == [0, 1, 1, 2, 2]
    now = rows(folder)
    assert gone in rows(folder, "split_1.csv") and gone not in now
    assert now["z/0.png"] == ("0", "train") and now["new/0.png"] == ("-1", "unused")
    assert {path[0] for path, (_, split) in now.items() if split == "test"} == set("efgh")
    state = torch.load(folder / "last.pt", weights_only=True)
    assert state["split"]["train_classes"] == ["z", "b", "c", "d"]
    goes_on_quietly(folder, capsys)


def test_an_epoch_goes_on_where_all_its_images_are_left_and_a_stop_in_between_loses_nothing(copied, capsys):
    """The new split is in place then, and the checkpoint still of the old one."""
    folder, photos = copied
    (photos / "b").rename(photos / "y")
    make_photos(photos, "c", start=6, number=2)
    old = (folder / "last.pt").read_bytes(), (folder / "metrics.jsonl").read_bytes()
    resume = ("--resume-run", folder, "--data-dir", photos)
    with pytest.warns(DatasetWarning) as said:
        printed = run_inside("train.py", *resume, "--accept-changes", status=0, capsys=capsys)
    (warning,) = [str(item.message) for item in said if item.category is DatasetWarning]
    assert "since the run began: 1 class renamed (b → y), 2 files new (c/6.png, c/7.png). It goes on" in warning
    assert "Continuing after 1 epochs and 2 batches" in printed.out
    lines = record(folder)
    for name, content in zip(("last.pt", "metrics.jsonl"), old, strict=True):
        (folder / name).write_bytes(content)
    goes_on_quietly(folder, capsys)
    assert record(folder) == lines


def test_other_images_are_refused(copied, tmp_path, capsys):
    folder, _ = copied
    other = make_photos(tmp_path / "other", "pqrs")
    printed = run_inside("train.py", "--resume-run", folder, "--data-dir", other, status=2, capsys=capsys)
    assert "8 classes gone (a, b, c, …), 4 classes new (p, q, r, …)" in printed.err
    words = ("--resume-run", folder, "--data-dir", other, "--accept-changes")
    assert "no image of the run's split 'train' left" in run_inside("train.py", *words, status=2, capsys=capsys).err
    assert not (folder / "split_1.csv").exists()


def test_a_run_of_an_earlier_version_goes_on(copied, capsys):
    folder, photos = copied
    (folder / "split.csv").unlink()
    with pytest.warns(DatasetWarning, match=r"has no split\.csv: whether its images have changed since it"):
        run_inside("train.py", "--resume-run", folder, "--data-dir", photos, status=0, capsys=capsys)
    assert not (folder / "split.csv").exists()


def test_a_renamed_class_does_not_judge_the_network(copied, tmp_path):
    """Nor does a new one; the figures stay those of the run."""
    folder, photos = copied
    (photos / "a").rename(photos / "z")
    shutil.copytree(photos / "d", photos / "d2")
    out = tmp_path / "metrics.json"
    words = ("--data-dir", photos, "--json", out, "--workers", "0")
    said = run("evaluate.py", "--ckpt", folder / "best.pt", *words).stdout
    assert "since the run: 1 class renamed (a → z), 1 class new (d2), 6 files new (d2/0.png, " in said
    assert "1 class is new since the run: d2; not evaluated; --new-classes 1 evaluates new classes, too" in said
    untrained, line = [line for line in record(folder) if "eval/recall_at_1" in line]
    assert untrained["epoch"] == 0
    metrics = json.loads(out.read_text())
    assert all(metrics[name] == pytest.approx(value) for name, value in line.items() if name.startswith("eval/"))


def test_accepting_is_for_a_run_that_goes_on(capsys):
    printed = run_inside("train.py", "--accept-changes", "1", status=2, capsys=capsys)
    assert "--accept-changes goes beside --resume-run DIR" in printed.err
