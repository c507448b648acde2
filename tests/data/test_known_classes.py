"""Every class of a user's own images trains: some of their images are searched in the rest, or none are."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tiny_images import write_classes, write_image

from dml.config import DataConfig, NoiseConfig
from dml.data import DatasetError, EveryImageData, KnownClassesData, data_from_config, load_dataset
from dml.data.findings import findings
from dml.data.run_split import FILE_NAME, split_table
from dml.data.screening import Screening
from dml.errors import UserError

CLASSES = ["ant", "bee", "cat", "dog"]


@pytest.fixture
def photos(tmp_path) -> Path:
    write_classes(tmp_path / "photos", CLASSES[:3], per_class=10)
    write_classes(tmp_path / "photos", CLASSES[3:], per_class=2)
    return tmp_path / "photos"


def config(photos: Path, split: str, **settings) -> DataConfig:
    return DataConfig(dataset="folder", data_dir=str(photos), split=split, **settings)


def test_a_fifth_of_every_class_is_searched_in_the_rest(photos):
    data = load_dataset("folder", photos, split="images")
    assert isinstance(data, KnownClassesData)
    assert data.train.class_names == data.query.class_names == tuple(CLASSES)
    assert data.train.class_counts().tolist() == [8, 8, 8, 2]
    assert data.query.class_counts().tolist() == [2, 2, 2, 0], "of two images none is held out"
    assert data.gallery is data.train and data.searched == ("query", "train")
    assert not set(data.train.paths) & set(data.query.paths)
    assert data.train.upright and data.query.upright
    assert findings(data) == []


def test_held_out_images_are_searched_in_the_training_images_too(photos):
    data = load_dataset("folder", photos, split="images", val_split=0.25, val_by_images=True)
    assert data.train.class_counts().tolist() == [6, 6, 6, 2]
    assert data.val.class_counts().tolist() == [2, 2, 2, 0]
    assert data.val.class_names == data.gallery.class_names == tuple(CLASSES), "one numbering"
    assert data.gallery is data.train, "without what is held out"
    assert data.val_searched == ("val", "train")


@pytest.mark.parametrize("as_splits", [False, True])
def test_all_of_them_train(photos, tmp_path, as_splits):
    place = photos
    if as_splits:
        place = tmp_path / "splits"
        for split, names in {"train": CLASSES[:3], "test": CLASSES[3:], "val": CLASSES[:1]}.items():
            for name in names:
                (place / split).mkdir(parents=True, exist_ok=True)
                (place / split / name).symlink_to(photos / name)
    data = load_dataset("folder", place, split="all", screening=Screening())
    assert isinstance(data, EveryImageData)
    counts = dict(zip(data.train.class_names, data.train.class_counts().tolist(), strict=True))
    assert counts == {"ant": 20 if as_splits else 10, "bee": 10, "cat": 10, "dog": 2}
    assert set(data.parts) == {"train"}


def test_a_continued_run_keeps_its_queries(photos, tmp_path):
    """New images of its classes train; renamed classes keep their numbers; no query becomes a training image."""
    before = data_from_config(config(photos, "images"), seed=0)
    run = tmp_path / "run"
    run.mkdir()
    (run / FILE_NAME).write_bytes(split_table(before, photos).to_csv())
    assert Counter(split_table(before, photos).splits) == {"train": 26, "query": 6}
    again = data_from_config(config(photos, "images"), seed=5, run=run)
    assert (again.train.paths, again.query.paths) == (before.train.paths, before.query.paths)
    (photos / "bee").rename(photos / "wasp")
    write_image(photos / "ant" / "new.jpg")
    with pytest.raises(DatasetError, match="class renamed"):
        data_from_config(config(photos, "images"), seed=0, run=run)
    with pytest.warns(UserWarning, match="class renamed"):
        changed = data_from_config(config(photos, "images"), seed=0, run=run, accept_changes=True)
    assert changed.train.class_names == changed.query.class_names == ("ant", "wasp", "cat", "dog")
    assert {Path(path).name for path in changed.query.paths} == {Path(path).name for path in before.query.paths}
    np.testing.assert_array_equal(changed.query.labels, before.query.labels)
    assert str(photos / "ant" / "new.jpg") in changed.train.paths
    assert changed.gallery is changed.train


def test_what_cannot_be(photos, tmp_path):
    write_classes(tmp_path / "splits" / "train", CLASSES[:2])
    write_classes(tmp_path / "splits" / "test", CLASSES[2:])
    with pytest.raises(DatasetError, match="says by its splits what is tested: leave out --split images"):
        data_from_config(config(tmp_path / "splits", "images"), seed=0)
    write_classes(tmp_path / "pairs", CLASSES)
    with pytest.raises(DatasetError, match="no class has three images"):
        data_from_config(config(tmp_path / "pairs", "images"), seed=0)
    with pytest.raises(UserError, match="--val-split SHARE --val-by-images 1"):
        config(photos, "images", val_split=0.2)
    with pytest.raises(UserError, match="--split all trains on every image"):
        config(photos, "all", fold="1/5")
    noise = NoiseConfig(noisy_ratio=0.5)
    with pytest.raises(UserError, match="--split all has none: leave one out"):
        data_from_config(config(photos, "all"), seed=0, noise=noise)
