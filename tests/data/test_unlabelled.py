"""Folders of images without classes."""

from __future__ import annotations

import pytest
from tiny_images import only_usual_formats, write_lying

from dml.data import DatasetError, DatasetNotFoundError, DatasetWarning
from dml.data.images import image_of
from dml.data.unlabelled import is_unlabelled, load_unlabelled


def test_every_image_at_any_depth_is_taken(tmp_path):
    for name in ("b.jpg", "a.PNG", "trip/day1/c.jpeg", "trip/notes.txt", ".hidden.jpg", ".thumbs/d.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = load_unlabelled(tmp_path, at_least=3)
    assert [path.removeprefix(f"{tmp_path}/") for path in data.train.paths] == ["a.PNG", "b.jpg", "trip/day1/c.jpeg"]
    assert not data.train.labels.any()
    assert data.val is None


def test_images_directly_in_the_folder_mean_that_there_are_no_classes(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.jpg").touch()
    assert not is_unlabelled(tmp_path)
    (tmp_path / "b.jpg").touch()
    assert is_unlabelled(tmp_path)
    (tmp_path / "notes.csv").write_text("id,colour\n1,red\n")
    assert is_unlabelled(tmp_path)
    (tmp_path / "list.csv").write_text("path,label\n")
    assert not is_unlabelled(tmp_path)
    assert not is_unlabelled(tmp_path / "nowhere")


def test_a_class_may_be_called_like_an_image(tmp_path):
    (tmp_path / "logo.png").mkdir()
    assert not is_unlabelled(tmp_path)


def test_images_are_turned_upright(tmp_path):
    for name in ("a.jpg", "trip/b.jpg"):
        write_lying(tmp_path / name)
    data = load_unlabelled(tmp_path, at_least=1)
    assert [image_of(data.train, i).size for i in range(2)] == [(6, 8)] * 2


def test_what_is_not_read_is_said(tmp_path, monkeypatch):
    only_usual_formats(monkeypatch)
    for name in ("a.jpg", "b.jpg", "trip/c.heic", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.warns(DatasetWarning, match=r"1 file is not read as images \(1 \.heic\); read are \.bmp"):
        load_unlabelled(tmp_path, at_least=1)


def test_too_few_images_are_refused(tmp_path):
    (tmp_path / "a.jpg").touch()
    with pytest.raises(DatasetError, match=r"1 image\(s\) below .*at least 5"):
        load_unlabelled(tmp_path)
    assert len(load_unlabelled(tmp_path, at_least=1).train) == 1
    with pytest.raises(DatasetNotFoundError, match="is no folder"):
        load_unlabelled(tmp_path / "nowhere")
