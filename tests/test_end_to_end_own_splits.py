"""What a run on a user's own photographs tests, by --split: other images of known classes, or nothing."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from entrypoints import record, run_inside
from test_end_to_end_own import DOCUMENTED, write_photographs

CLASSES = ("a", "b", "c", "d")


@pytest.fixture
def photos(tmp_path):
    return write_photographs(tmp_path / "photos", list(CLASSES))


def words_of(photos, split: str) -> list:
    place = ["--data-dir", photos, "--log-dir", photos.parent / "logs", "--run-name", split, "--pictures", "0"]
    return [*DOCUMENTED, *place, "--split", split]


def splits_of(folder) -> list[str]:
    with (folder / "split.csv").open(newline="") as file:
        return [row["split"] for row in csv.DictReader(file)]


def test_new_images_of_known_classes(photos, tmp_path, capsys):
    said = run_inside("train.py", *words_of(photos, "images"), status=0, capsys=capsys).out
    assert "every class trains; a fifth of each one's images is held out and searched in the rest" in said
    folder = tmp_path / "logs" / "folder" / "images"
    splits = splits_of(folder)
    assert (splits.count("train"), splits.count("query"), len(splits)) == (20, 4, 24)
    assert "--split all" in said.splitlines()[-1] and "--split images" not in said.splitlines()[-1]
    judged = ["--ckpt", folder, "--json", tmp_path / "m.json", "--workers", "0"]
    said = run_inside("evaluate.py", *judged, status=0, capsys=capsys).out
    assert "folder, 4 queries" in said
    recall = f'"eval/recall_at_1": {record(folder)[-1]["eval/recall_at_1"]}'
    assert recall in (tmp_path / "m.json").read_text()


def test_all_of_them(photos, tmp_path, capsys):
    said = run_inside("train.py", *words_of(photos, "all"), status=0, capsys=capsys).out
    assert "folder: training 4 classes, 24 images: all there are. Nothing is tested" in said
    folder = tmp_path / "logs" / "folder" / "all"
    assert set(splits_of(folder)) == {"train"}
    assert not [name for line in record(folder) for name in line if name.startswith("eval/")]
    with np.load(folder / "embeddings.npz") as saved:
        assert saved["embeddings"].shape == (24, 16) and len(saved["paths"]) == 24
    new = ["--ckpt", folder, "--unlabelled", "--save-embeddings", tmp_path / "new.npz", "--workers", "0"]
    run_inside("evaluate.py", *new, status=0, capsys=capsys)
    with np.load(folder / "embeddings.npz") as ours, np.load(tmp_path / "new.npz") as again:
        assert sorted(ours["paths"]) == sorted(again["paths"])
