"""Which of a user's folders are splits and which are classes, and how classes are called."""

from __future__ import annotations

import warnings

import pytest
from tiny_images import write_classes, write_image

from dml.data import DatasetError, DatasetWarning, load_dataset
from dml.data.classification import load_classification
from dml.data.own_splits import split_of

BOTH = pytest.mark.parametrize("load", [load_dataset, load_classification])


def write_tree(root, *folders: str, per_class: int = 2) -> None:
    for folder in folders:
        write_classes(root, [folder], per_class=per_class)


def loaded(load, root):
    """What is loaded, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load("folder", root)
    return data, [str(warning.message) for warning in caught]


def test_names_of_splits():
    said = ("Train", "TRAINING", "train_set", "Test", "testing", "Test-Images", "valid", "Validation", "val", "dev")
    assert [split_of(name) for name in said] == ["train"] * 3 + ["test"] * 3 + ["val"] * 4
    assert {split_of(name) for name in ("trains", "train station", "oak", "", "set", "train test")} == {None}


@pytest.mark.parametrize(
    "folders",
    [
        ("Train/a", "Train/b", "Test/c", "Test/d"),
        ("training/a", "training/b", "testing/c", "testing/d", "validation/e", "validation/f"),
        ("TRAIN/a", "TRAIN/b", "Queries/c", "Queries/d", "Gallery/c", "Gallery/d"),
    ],
)
def test_splits_go_by_several_names(tmp_path, folders):
    write_tree(tmp_path, *folders)
    data, said = loaded(load_dataset, tmp_path)
    assert said == []
    assert (data.train.class_names, data.query.class_names) == (("a", "b"), ("c", "d"))
    assert (data.val is not None) == any("validation" in folder for folder in folders)


def test_a_classifier_reads_them_by_the_same_names(tmp_path):
    write_tree(tmp_path, "Train/a", "Train/b", "validation/a", "validation/b")
    assert load_classification("folder", tmp_path).test.class_names == ("a", "b")


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (
            ("train/a", "train/b", "val/c", "val/d"),
            "by their names train and val are splits, not classes; a validation split chooses the epoch, and nothing is"
            r" tested on it\. test is missing: rename val to test, or give --data-dir .*/train: half of its classes",
        ),
        (("train/a", "train/b", "train/c", "train/d"), "by its name train is a split, not a class. test is missing"),
        (("Test/a", "Test/b", "valid/a", "valid/b"), "Test and valid are splits, not classes. train is missing"),
        (
            ("train/a", "train/b", "query/a", "query/b"),
            "query and train are splits, not classes. test or gallery is missing",
        ),
        (("train/a", "training/b", "valid/a", "validation/b"), "train and training both mean the split 'train'"),
        (("train1/a", "train2/b", "val1/a", "val2/b"), "train1, train2, val1 and val2 are splits, not classes"),
        (("train/a", "train/b", "test"), "test holds no class folders. test is missing"),
        (("train", "test", "val"), "test, train and val hold no class folders"),
        (("oak", "elm", "ash", "train/a", "train/b"), "by its name train is a split, not a class"),
        (("photos/a", "photos/b", "photos/c", "photos/d"), "holds one folder, photos, .* give --data-dir .*/photos"),
    ],
)
def test_splits_and_folders_of_folders_never_become_classes_unsaid(tmp_path, folders, message):
    write_tree(tmp_path, *folders)
    with pytest.raises(DatasetError, match=message):
        load_dataset("folder", tmp_path)


def test_a_classifier_refuses_its_own(tmp_path):
    write_tree(tmp_path, "train/a", "train/b")
    with pytest.raises(DatasetError, match=r"test or val is missing: add test or val, or give --data-dir .*: a fifth"):
        load_classification("folder", tmp_path)


@BOTH
def test_a_class_may_be_called_train(tmp_path, load):
    write_tree(tmp_path, "boat", "bus", "car", "train", per_class=4)
    data, said = loaded(load, tmp_path)
    assert "boat" in data.train.class_names
    assert [text.partition(": ")[2] for text in said] == [
        "train counts as a class, since images lie directly in there; splits hold class folders"
    ]


@BOTH
def test_folders_of_folders_are_said(tmp_path, load):
    write_tree(tmp_path, "animals/cat", "animals/dog", "plants/rose", "plants/lily", "stones/jade", "stones/opal")
    write_tree(tmp_path, "stars/sun", "stars/vega")
    (text,) = loaded(load, tmp_path)[1]
    assert "every folder holds only folders (animals, plants, stars, stones)" in text
    assert "a CSV file path,label" in text


def test_a_class_with_folders_inside_stays_a_class(tmp_path):
    write_tree(tmp_path, "oak", "elm", "ash/2021", "ash/2022", "fir")
    data, said = loaded(load_dataset, tmp_path)
    assert data.train.class_names == ("ash", "elm")
    assert data.train.class_counts().tolist() == [4, 2]
    assert "1 of 4 folders hold only folders (ash)" in said[0]
    write_image(tmp_path / "ash" / "0.jpg")
    assert loaded(load_dataset, tmp_path)[1] == []


@BOTH
def test_blanks_around_a_name_make_no_class_and_capitals_are_said(tmp_path, load):
    write_tree(tmp_path, "elm", "elm ", "oak", "Oak", "caf\u00e9", "cafe\u0301", per_class=4)
    data, said = loaded(load, tmp_path)
    names = {*data.train.class_names, *(data.query if load is load_dataset else data.test).class_names}
    assert names == {"elm", "oak", "Oak", "caf\u00e9"}
    assert said == ["classes that differ in capitals or blanks alone are kept apart: 'Oak' and 'oak'"]


def test_what_cannot_be_opened_is_said(tmp_path, monkeypatch):
    write_tree(tmp_path, "ant", "bee", "cat", "dog")
    (tmp_path / "dog" / "closed").mkdir()
    scandir = __import__("os").scandir

    def closed(place="."):
        if str(place).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr("os.scandir", closed)
    with pytest.warns(DatasetWarning, match=r"1 folder cannot be opened \(.*dog/closed\)"):
        load_dataset("folder", tmp_path)


@BOTH
def test_images_side_by_side_are_told_how_to_be_learned_from(tmp_path, load):
    for number in range(3):
        write_image(tmp_path / f"{number}.png")
    with warnings.catch_warnings(), pytest.raises(DatasetError) as error:
        warnings.simplefilter("error")  # nothing misleading before it
        load("folder", tmp_path)
    assert f"python code/train_stml.py --dataset folder --data-dir {tmp_path} learns from the images alone" in str(
        error.value
    )
    assert "With classes: give your own images with --data-dir: a folder with" in str(error.value)


@BOTH
def test_a_folder_without_images_is_told_what_belongs_there(tmp_path, load):
    (tmp_path / "a").mkdir()
    with pytest.raises(DatasetError, match=r"^no images in .*\. Give your own images with --data-dir: a folder with"):
        load("folder", tmp_path)
