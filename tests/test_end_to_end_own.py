"""A user's own photographs, as people have them, with the documented commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dml.data import DatasetWarning
from dml.errors import Note
from entrypoints import record, run, run_inside

# The README's command, on a network and images that are quick.
DOCUMENTED = [
    *("--dataset", "folder", "--data-name", "folder"),
    *("--model", "resnet18", "--embedding-size", "16", "--batch-size", "64", "--IPC", "4"),
    *("--pretrained", "0", "--crop-size", "32", "--resize", "36", "--warm", "0", "--epochs", "1", "--workers", "0"),
    *("--wandb", "disabled"),
]


def write_photographs(root: Path, names: list[str], per_class: int = 6) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(root / name / f"{i}.png")
    return root


def test_the_documented_command_on_a_few_folders(tmp_path):
    photos = write_photographs(tmp_path / "photos", ["a$_$b", "5$ bill", "10$ bill", "x_1"])
    (photos / "metadata.csv").write_text("id,colour\n1,red\n")
    (photos / "x_1" / "0.png").write_bytes((photos / "a$_$b" / "0.png").read_bytes())
    place = ["--data-dir", photos, "--log-dir", tmp_path / "logs", "--run-name", "r", "--pictures", "0"]
    done = run("train.py", *DOCUMENTED, *place)
    assert "warning: --batch-size 64 with --IPC 4 is more than the training set of 12 images" in done.stderr
    assert "fills: batches of 8, 2 classes of 4\n" in done.stderr
    labels = f"{photos}/a$_$b/0.png is a$_$b and {photos}/x_1/0.png is x_1"
    assert f"warning: 1 image has several labels ({labels})" in done.stderr
    folder = tmp_path / "logs" / "folder" / "r"
    assert "to beat, without training: small pixels R@1 " in done.stdout
    for said in (done.stdout, (folder / "best_results.txt").read_text()):
        lines = said.splitlines()
        head = next(n for n, line in enumerate(lines) if line.split()[:4] == ["R@1", "MAP@R", "distinct", "R@1"])
        titles = [line.lstrip().split("  ")[0] for line in lines[head + 2 : head + 7]]
        assert titles == ["small pixels", "colour histogram", "untrained", "best (epoch 1)", "last (epoch 1)"]
    config = json.loads((folder / "config.json").read_text())
    assert (config["data"]["batch_size"], config["data"]["IPC"]) == (8, 4)


def test_a_classifier_with_such_names(tmp_path, capsys):
    photos = write_photographs(tmp_path / "photos", ["a$_$b", "c$^$d", "\\frac"])
    words = [
        "--dataset",
        "folder",
        "--data-name",
        "folder",
        "--model",
        "resnet18",
        "--crop-size",
        "16",
        "--resize",
        "16",
        "--stem",
        "imagenet",
    ]
    words += ["--epochs", "1", "--workers", "0", "--wandb", "disabled", "--run-name", "r$_$1"]
    place = ["--data-dir", photos, "--log-dir", tmp_path / "logs"]
    with pytest.warns(Note, match="more than the training set of 15 images of 3 classes fills: batches of 15"):
        run_inside("classify.py", *words, *place, status=0, capsys=capsys)
    folder = tmp_path / "logs" / "folder" / "r$_$1"
    assert (folder / "curves.png").is_file() and (folder / "confusion.png").is_file()


def test_classes_of_one_photograph(tmp_path, capsys):
    photos = write_photographs(tmp_path / "photos", [f"{c:02d}" for c in range(16)], per_class=1)
    words = [*DOCUMENTED, "--pictures", "0", "--data-dir", photos, "--log-dir", tmp_path / "logs"]
    alone = [word for word in words if word not in ("--IPC", "4")]
    said = run_inside("train.py", *alone, "--loss", "MS", status=2, capsys=capsys).err
    assert "no training class has two images, so that --loss MS has no positive pair to learn from: give" in said
    assert not (tmp_path / "logs").exists()
    with pytest.warns(DatasetWarning, match="none of the 8 test images can be answered"):
        run_inside("train.py", *words, "--run-name", "proxies", status=0, capsys=capsys)
    assert record(tmp_path / "logs" / "folder" / "proxies")[-1]["eval/recall_at_1"] == 0
