"""Linked folders are followed, once, and not in circles."""

from __future__ import annotations

import pytest
from tiny_images import write_classes, write_image

from dml.data import load_dataset
from dml.data.classification import load_classification
from dml.data.layout import class_folders, images_below
from dml.data.unlabelled import load_unlabelled
from dml.data.verify import verify


def names_below(folder) -> list[str]:
    return [path.removeprefix(f"{folder}/") for path in images_below(folder)]


@pytest.fixture
def photos(tmp_path):
    """Four classes of one image, with three more in a linked folder each."""
    write_classes(tmp_path / "store", ["ant", "bee", "cat", "dog"], per_class=3)
    for name in ("ant", "bee", "cat", "dog"):
        write_image(tmp_path / "photos" / name / "0.png")
        (tmp_path / "photos" / name / "more").symlink_to(tmp_path / "store" / name)
    return tmp_path / "photos"


def test_every_way_of_reading_follows_links(photos):
    retrieval = load_dataset("folder", photos)
    assert retrieval.train.class_counts().tolist() == retrieval.query.class_counts().tolist() == [4, 4]
    classes = load_classification("folder", photos)
    assert len(classes.train) + len(classes.test) == 16
    assert len(load_unlabelled(photos).train) == 16
    assert verify("folder", photos).summary[0] == "folder, train: 2 classes, 8 images"


def test_circles_end(tmp_path):
    write_image(tmp_path / "a" / "deep" / "1.png")
    write_image(tmp_path / "b" / "2.png")
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "out").symlink_to(tmp_path)
    (tmp_path / "a" / "itself").symlink_to(tmp_path / "a" / "itself")
    (tmp_path / "all").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert names_below(tmp_path / "a") == ["deep/1.png"]
    assert class_folders(tmp_path) == ["a", "b"]
    assert names_below(tmp_path) == ["a/deep/1.png", "b/2.png"]


def test_a_folder_counts_once_and_by_its_own_name_where_it_has_one(tmp_path):
    write_image(tmp_path / "c" / "new" / "1.png")
    write_image(tmp_path / "store" / "2.png")
    (tmp_path / "c" / "link").symlink_to(tmp_path / "c" / "new")
    for name in ("first", "second"):
        (tmp_path / "c" / name).symlink_to(tmp_path / "store")
    assert names_below(tmp_path / "c") == ["first/2.png", "new/1.png"]
