"""Figures on a user's own images: no image answers itself, and a network that tells none apart finds nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from dml.evaluation.plots import gallery
from entrypoints import SMALL, record, run, run_inside

CLASSES, TRAINED, PER_CLASS = 10, 4, 5
CHANCE = (PER_CLASS - 1) / ((CLASSES - TRAINED) * PER_CLASS - 1)  # 0.14, with which noise is found


@pytest.fixture(scope="module")
def noise(tmp_path_factory) -> Path:
    """Images in which there is nothing to learn, and tables of them: ``itself.csv`` has the test images as queries and
    as gallery, ``twice.csv`` every test image twice, ``copied.csv`` beside a copy of it under another name."""
    folder, generator = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    train, test, copied = [], [], []
    for label in range(CLASSES):
        for number in range(PER_CLASS):
            path = folder / f"{label}_{number}.png"
            Image.fromarray(generator.integers(0, 256, (36, 36, 3), dtype=np.uint8)).save(path)
            (train if label < TRAINED else test).append(f"{path.name},{label}")
            if label >= TRAINED:
                shutil.copy(path, folder / f"copy of {path.name}")
                copied.append(f"copy of {path.name},{label}")
    tables = {
        "itself": [f"{row},{split}" for row in test for split in ("query", "gallery")],
        "twice": [f"{row},test" for row in test * 2],
        "copied": [f"{row},test" for row in test + copied],
    }
    for name, rows in tables.items():
        rows = [f"{row},train" for row in train] + rows
        (folder / f"{name}.csv").write_text("\n".join(["path,label,split", *rows]) + "\n")
    return folder


def arguments(noise: Path, logs: Path, name: str, *more: str) -> list[str]:
    where = ["--dataset", "folder", "--data-dir", noise / "itself.csv", "--log-dir", logs, "--run-name", name]
    return [*where, *SMALL, "--batch-size", "10", "--epochs", "1", *more]


@pytest.fixture(scope="module")
def finished(noise, logs) -> tuple[Path, str]:
    """A run on ``itself.csv``: its folder and what it printed."""
    done = run("train.py", *arguments(noise, logs, "run", "--train-metrics", "1"))
    return logs / "folder" / "run", done.stdout


def test_an_image_that_is_query_and_gallery_item_does_not_find_itself(finished):
    last = record(finished[0])[-2:]
    assert last[0]["eval/recall_at_1"] <= 2 * CHANCE
    assert last[0]["eval/map_at_r"] <= 2 * CHANCE
    assert "eval/queries" not in last[0], "every query has an answer"
    said = (
        "R@k, MAP@R, R-precision, P@1 over 30 queries\n"
        "of 30 queries the gallery holds the same image; it is left out as no answer (--keep-copies 1 keeps it)\n"
    )
    assert said in finished[1] and said in (finished[0] / "best_results.txt").read_text()


def evaluated(finished, tmp_path, capsys, *more) -> tuple[dict, str]:
    out = tmp_path / "metrics.json"
    where = ("--ckpt", finished[0] / "last.pt", "--json", out, "--workers", "0")
    told = run_inside("evaluate.py", *where, *more, status=0, capsys=capsys)
    return json.loads(out.read_text()), told.out


@pytest.mark.parametrize("table", ["itself", "twice", "copied"])
def test_copies_are_kept_where_that_is_asked_for(finished, noise, tmp_path, capsys, table):
    where = ("--data-dir", noise / f"{table}.csv")
    honest, said = evaluated(finished, tmp_path, capsys, *where)
    assert honest["eval/recall_at_1"] <= 2 * CHANCE
    other_kind = "is judged by test, the run was by query and gallery: the names of the classes say which images are"
    assert (other_kind in said) == (table != "itself")
    kept, _ = evaluated(finished, tmp_path, capsys, *where, "--keep-copies", "1")
    assert kept["eval/recall_at_1"] == 1


def test_pictures_show_no_copy_as_an_answer(finished, noise, tmp_path, capsys, monkeypatch):
    shown, read = [], gallery.image_of

    def looking(records, index, **how):
        shown.append(records.paths[index])
        return read(records, index, **how)

    monkeypatch.setattr(gallery, "image_of", looking)
    evaluated(finished, tmp_path, capsys, "--data-dir", noise / "copied.csv", "--gallery", tmp_path / "g.png")
    rows = np.array([Path(path).name.removeprefix("copy of ") for path in shown]).reshape(-1, 9)
    assert (rows[:, 1:] != rows[:, :1]).all()


def test_queries_without_an_answer_are_counted(finished, noise, tmp_path, capsys):
    rows = (noise / "itself.csv").read_text().splitlines()
    kept = [row for row in rows if not row.startswith(("9_1", "9_2", "9_3", "9_4"))]  # one image of the last class
    (noise / "alone.csv").write_text("\n".join(kept) + "\n")
    metrics, said = evaluated(finished, tmp_path, capsys, "--data-dir", noise / "alone.csv")
    assert (metrics["eval/queries"], metrics["eval/queries_with_answer"]) == (26, 25)
    assert "R@k, P@1 over 26 queries; MAP@R, R-precision over 25: 1 has no answer in the gallery" in said


def test_a_dead_network_finds_nothing_and_is_said_once(noise, logs, tmp_path):
    """Its first layer is zero, so that all embeddings are the same: each query is given the first image."""
    weights = resnet18().state_dict()
    weights["conv1.weight"].zero_()
    torch.save(weights, tmp_path / "dead.pt")
    dead = ("--pretrained", "1", "--weights", tmp_path / "dead.pt", "--lr", "1e-12", "--keep-copies", "1")
    done = run("train.py", *arguments(noise, logs, "dead", *dead, "--eval-first", "1", "--bn-freeze", "1"))
    found = [line["eval/recall_at_1"] for line in record(logs / "folder" / "dead") if "eval/recall_at_1" in line]
    assert found == [pytest.approx(1 / (CLASSES - TRAINED))] * 2
    assert done.stdout.count("eval images: the network has collapsed: the embeddings of all 30 images") == 1
