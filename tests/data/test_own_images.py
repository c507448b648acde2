"""What is said of files and folders that are passed over."""

from __future__ import annotations

import warnings

import pytest
from tiny_images import only_usual_formats, write_classes, write_image

from dml.data import DatasetWarning, load_dataset
from dml.data.classification import load_classification

CLASSES = ["ant", "bee", "cat", "dog"]


@pytest.fixture(autouse=True)
def usual_formats(monkeypatch):
    """Whatever is installed."""
    only_usual_formats(monkeypatch)


def touch(root, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def said(load, *arguments) -> list[str]:
    """The warnings of loading."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(*arguments)
    assert all(warning.category is DatasetWarning for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("load", [load_dataset, load_classification])
def test_one_warning_names_all_that_is_passed_over(tmp_path, load):
    write_classes(tmp_path, CLASSES, per_class=4)
    write_image(tmp_path / "stray.png")
    touch(tmp_path, "aheic/1.HEIC", "aheic/2.heic", "cat/deep/3.avif", "dog/noending", "4.heic")
    (tmp_path / "zempty").mkdir()
    (text,) = said(load, "folder", tmp_path)
    assert text == (
        f"{tmp_path}: 5 files are not read as images (3 .heic, 1 .avif, 1 without an ending),"
        " 2 class folders hold no image (aheic, zempty), 1 image lies beside the class folders, not in one;"
        " read are .bmp .gif .jfif .jpe .jpeg .jpg .pgm .png .ppm .tif .tiff .webp;"
        " .avif after `pip install --upgrade pillow`; .heic after `pip install pillow-heif`"
    )


def test_folders_of_splits_are_named_with_their_split(tmp_path):
    write_classes(tmp_path / "train", CLASSES[:2])
    write_classes(tmp_path / "test", CLASSES[2:])
    touch(tmp_path, "test/eel/1.heic")
    (text,) = said(load_dataset, "folder", tmp_path)
    assert "1 file is not read as images (1 .heic), 1 class folder holds no image (test/eel);" in text


def test_what_lies_beside_the_splits_is_named(tmp_path):
    write_classes(tmp_path / "train", CLASSES[:2])
    write_classes(tmp_path / "test", CLASSES[2:])
    write_classes(tmp_path / "others", CLASSES[:2])
    write_image(tmp_path / "stray.png")
    touch(tmp_path, "a.heic")
    (text,) = said(load_dataset, "folder", tmp_path)
    assert "1 file is not read as images (1 .heic), 1 folder beside the splits not read (others), 1 image lies" in text


def test_long_lists_are_cut(tmp_path):
    write_classes(tmp_path, CLASSES)
    for i in range(7):
        (tmp_path / f"empty{i}").mkdir()
    assert said(load_dataset, "folder", tmp_path) == [
        f"{tmp_path}: 7 class folders hold no image (empty0, empty1, empty2, empty3, empty4 and 2 more)"
    ]


def test_litter_and_companions_are_not_mentioned(tmp_path):
    write_classes(tmp_path, CLASSES)
    touch(
        tmp_path,
        *("README", "LICENSE", "notes.TXT", "ant/labels.json", "ant/._0.jpg", "ant/.DS_Store", "ant/Thumbs.db"),
        *("ant/desktop.ini", "bee/IMG_1.MOV", "bee/IMG_1.AAE", "__MACOSX/ant/0.heic", ".cache/1.heic"),
    )
    assert said(load_dataset, "folder", tmp_path) == []


def test_a_list_and_a_benchmark_are_not_searched(tmp_path):
    write_classes(tmp_path / "images", CLASSES)
    touch(tmp_path, "images/ant/1.heic", "images/zempty/1.heic")
    assert not any("not read" in text for text in said(load_dataset, "cub", tmp_path))
    rows = "".join(f"images/{name}/0.jpg,{name}\n" for name in CLASSES)
    (tmp_path / "list.csv").write_text("path,label\n" + rows)
    assert said(load_dataset, "folder", tmp_path) == []


def test_other_endings_of_jpeg_are_read(tmp_path):
    write_classes(tmp_path, CLASSES)
    whole = (tmp_path / "ant" / "0.jpg").read_bytes()
    for name in ("a.jfif", "b.JPE"):
        (tmp_path / "ant" / name).write_bytes(whole)
    assert said(load_dataset, "folder", tmp_path) == []
    assert load_dataset("folder", tmp_path).train.class_counts().tolist() == [4, 2]
