"""A user's own images that cannot be read are left out, told of and remembered; the others stay as they are."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from PIL import Image
from tiny_images import write_classes, write_image

from dml.config import DataConfig, NoiseConfig
from dml.data import DatasetError, DatasetWarning, data_from_config, load_dataset, screening
from dml.data.classification import classification_from_config, load_classification
from dml.data.images import image_of
from dml.data.records import LeftOut
from dml.data.screening import Screening, left_out_table, read_left_out, screened, screening_for
from dml.data.unlabelled import load_unlabelled

CLASSES = ["ant", "bee", "cat", "dog"]
EMPTY = "the file is empty"


@pytest.fixture
def photos(tmp_path):
    """Four classes of four photographs, three of them damaged."""
    root = tmp_path / "photos"
    write_classes(root, CLASSES, per_class=4)
    for name in ("ant/1.jpg", "bee/3.jpg", "dog/0.jpg"):
        (root / name).write_bytes(b"")
    return root


def config(place, **values) -> DataConfig:
    return DataConfig(dataset="folder", data_dir=str(place), **values)


def names_of(records) -> list[str]:
    return ["/".join(path.split("/")[-2:]) for path in records.paths]


def load_own(place, *, run=None, **values):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = data_from_config(config(place, **values), seed=0, run=run)
    return data, [str(warning.message) for warning in caught]


def write_run(folder, left_out=(), *, begun=True):
    folder.mkdir()
    if left_out:
        (folder / "left_out.csv").write_text(left_out_table(left_out))
    if begun:
        (folder / "last.pt").touch()
    return folder


def test_damaged_photographs_are_left_out_and_told_of_once(photos):
    data, said = load_own(photos)
    assert names_of(data.train) == ["ant/0.jpg", "ant/2.jpg", "ant/3.jpg", "bee/0.jpg", "bee/1.jpg", "bee/2.jpg"]
    assert data.train.class_counts().tolist() == [3, 3]
    assert names_of(data.query)[4:] == ["dog/1.jpg", "dog/2.jpg", "dog/3.jpg"]
    assert data.left_out == (LeftOut("ant/1.jpg", EMPTY), LeftOut("bee/3.jpg", EMPTY), LeftOut("dog/0.jpg", EMPTY))
    assert said == [
        f"{photos}: 3 of 16 images cannot be read and are left out: ant/1.jpg ({EMPTY}), bee/3.jpg ({EMPTY}),"
        f" dog/0.jpg ({EMPTY}); --strict 1 stops instead"
    ]


def test_a_list_names_them_from_its_own_folder_and_counts_files(photos, tmp_path):
    rows = [f"photos/{name}/{i}.jpg,{name}" for name in CLASSES for i in range(4)]
    table = tmp_path / "list.csv"
    table.write_text("\n".join(["path,label", *rows, rows[1]]))
    data, said = load_own(table)
    assert data.left_out[0] == LeftOut("photos/ant/1.jpg", EMPTY)
    assert "3 of 16 images cannot be read" in said[0]


def test_a_long_warning_names_the_first_few(photos):
    for i in range(8):
        write_image(photos / "cat" / f"more{i}.png").write_bytes(b"")
    assert load_own(photos)[1][0].count(EMPTY) == 5
    assert "and 6 more;" in load_own(photos)[1][0]


@pytest.mark.parametrize(
    "load",
    [
        lambda root: data_from_config(config(root, strict=True), seed=0),
        lambda root: classification_from_config(config(root, strict=True), seed=0),
        lambda root: load_unlabelled(root, screening=Screening(strict=True)),
    ],
)
def test_strict_names_every_one(photos, load):
    with pytest.raises(DatasetError, match=r"(?s)3 of 16 images .* \(--strict 1\):\n  ant/1.*\n  bee/3.*\n  dog/0"):
        load(photos)


def test_named_data_sets_are_not_looked_at():
    assert screening_for(DataConfig(dataset="cub")) is None
    assert screening_for(DataConfig(dataset="folder", strict=True, bits=12)) == Screening(strict=True, bits=12)


def test_a_class_of_which_nothing_is_left_is_an_error(photos):
    for i in range(4):
        (photos / "cat" / f"{i}.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no image of 1 of 2 classes can be read \(cat\): mend .* cat/0\.jpg \(the"):
        load_own(photos)
    for i in range(4):
        (photos / "dog" / f"{i}.jpg").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"none of the 8 images of the split 'test' can be read: cat/0\.jpg"):
        load_own(photos)


def test_nothing_to_read_without_classes(tmp_path):
    for i in range(6):
        write_image(tmp_path / f"{i}.png")
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "1.png").write_bytes(b"")
    with (
        pytest.warns(DatasetWarning, match="2 of 6"),
        pytest.raises(DatasetError, match=r"4 image\(s\) that can be read below .*: at least 5"),
    ):
        load_unlabelled(tmp_path, screening=Screening())
    with pytest.warns(DatasetWarning, match="2 of 6"):
        data = load_unlabelled(tmp_path, at_least=2, screening=Screening())
    assert len(data.train) == 4
    assert [file.path for file in data.left_out] == ["0.png", "1.png"]
    for file in tmp_path.iterdir():
        file.write_bytes(b"")
    with (
        pytest.warns(DatasetWarning, match="6 of 6"),
        pytest.raises(DatasetError, match=r": none of the 6 images can be read: 0\.png \(the file is empty\), 1\.png"),
    ):
        load_unlabelled(tmp_path, screening=Screening())


def test_a_continued_run_leaves_out_the_same_and_looks_at_nothing(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(screening, "examine_all", lambda paths: pytest.fail("looked"))
    run = write_run(tmp_path / "run", [LeftOut("ant/0.jpg", "a reason"), LeftOut("dog/0.jpg", EMPTY)])
    data, said = load_own(photos, run=run)
    assert names_of(data.train)[:3] == ["ant/1.jpg", "ant/2.jpg", "ant/3.jpg"]
    assert data.left_out == read_left_out(run / "left_out.csv")
    assert all("has no split.csv" in text for text in said)
    assert len(load_own(photos, run=write_run(tmp_path / "nothing left out"))[0].train) == 8


def test_a_run_that_had_not_begun_is_checked(photos, tmp_path):
    data, said = load_own(photos, run=write_run(tmp_path / "run", begun=False))
    assert len(data.left_out) == len(data.train) // 2 == 3
    assert said


def test_files_that_were_damaged_since_can_be_left_out_too(photos, tmp_path):
    run = write_run(tmp_path / "run", [LeftOut("ant/1.jpg", EMPTY)])
    with pytest.warns(DatasetWarning, match="2 of 15 images cannot be read"):
        data = load_dataset("folder", photos, screening=Screening(run=run, anew=True))
    assert [file.path for file in data.left_out] == ["ant/1.jpg", "bee/3.jpg", "dog/0.jpg"]


def test_a_damaged_record_is_named(tmp_path):
    for text in ("", "path\nx", "path,reason\na,b,c\n"):
        (tmp_path / "left_out.csv").write_text(text)
        with pytest.raises(DatasetError, match=r"left_out\.csv, which says what the run leaves out, is damaged"):
            read_left_out(tmp_path / "left_out.csv")


def test_names_of_any_bytes_are_recorded(tmp_path):
    files = (LeftOut("a, b\n.jpg", 'a "reason"'), LeftOut(os.fsdecode(b"caf\xe9.jpg"), EMPTY))
    (tmp_path / "left_out.csv").write_bytes(left_out_table(files).encode(errors="surrogateescape"))
    assert read_left_out(tmp_path / "left_out.csv") == files


def test_removing_what_was_left_out_changes_no_draw(photos, tmp_path):
    """Which images test, or are held out, is drawn among those that can be read."""
    with pytest.warns(DatasetWarning, match="3 of 16"):
        before = classification_from_config(config(photos, val_split=0.4), seed=3)
    run = write_run(tmp_path / "run", before.left_out)
    for file in before.left_out:
        (photos / file.path).unlink()
    after = classification_from_config(config(photos, val_split=0.4), seed=3, run=run)
    for split in ("train", "val", "test"):
        assert getattr(before, split).paths == getattr(after, split).paths
    assert before.test.class_counts().tolist() == [1, 1, 1, 1]


def test_held_out_classes_and_wrong_labels_are_drawn_afterwards(tmp_path):
    write_classes(tmp_path, [*CLASSES, *"efgh"], per_class=3)
    (tmp_path / "bee" / "1.jpg").write_bytes(b"")
    noise = NoiseConfig(noisy_ratio=0.5)
    with pytest.warns(DatasetWarning, match="1 of 24"):
        data = data_from_config(config(tmp_path, val_split=0.5), seed=0, noise=noise)
    assert len(data.train) + len(data.val) == 11
    assert len(data.label_noise.indices) == round(len(data.train) / 2)
    assert data.left_out


def test_an_evaluation_checks_what_it_reads(photos):
    screening = screening_for(config(photos), only=("query", "gallery"))
    with pytest.warns(DatasetWarning, match="1 of 8 images"):
        data = screened(load_dataset("folder", photos), photos, screening)
    assert [file.path for file in data.left_out] == ["dog/0.jpg"]
    assert (len(data.train), len(data.query)) == (8, 7)


def test_a_classifier_is_evaluated_on_the_images_that_its_training_held_out(photos, tmp_path):
    screening = screening_for(config(photos), only=("test",))
    with pytest.warns(DatasetWarning, match="3 of 16 images"):
        run = classification_from_config(config(photos), seed=0)
        evaluated = load_classification("folder", photos, screening=screening)
    assert run.test.paths == evaluated.test.paths
    for split in ("train", "test"):
        write_classes(tmp_path / "split" / split, CLASSES)
        (tmp_path / "split" / split / "ant" / "0.jpg").write_bytes(b"")
    with pytest.warns(DatasetWarning, match="1 of 8 images"):
        data = load_classification("folder", tmp_path / "split", screening=screening)
    assert [file.path for file in data.left_out] == ["test/ant/0.jpg"]


# ---------------------------------------------------------------------- images of more than 8 bits


def write_deep(path, top: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array([[0, top // 2, top]], np.uint16)).save(path)


@pytest.fixture
def deep(tmp_path):
    """Twelve bits in sixteen: a bright and a dim photograph in each class."""
    for name in CLASSES:
        write_deep(tmp_path / "deep" / name / "0.png", 4000)
        write_deep(tmp_path / "deep" / name / "1.png", 1000)
    return tmp_path / "deep"


def brightest(records, index: int) -> int:
    return int(np.asarray(image_of(records, index)).max())


def test_one_white_for_all_by_the_largest_number(deep):
    data, said = load_own(deep)
    for records in (data.train, data.query):
        assert records.bits == 12
        assert [brightest(records, i) for i in range(2)] == [4000 * 255 // 4095, 1000 * 255 // 4095]
    assert said == [
        f"{deep}: images of more than 8 bits are read as having 12, for no number in them is larger than 4000;"
        " --bits 16 reads them as dark as they are"
    ]


def test_bits_that_are_given_are_not_guessed(deep):
    data, said = load_own(deep, bits=14)
    assert (data.train.bits, brightest(data.train, 0)) == (14, 4000 * 255 // 16383)
    assert not any("read as having" in text for text in said)
    data, said = load_own(deep, bits=10)
    assert brightest(data.train, 0) == 255
    assert "numbers above 1023, which is white at --bits 10, are cut in 4 images: ant/0.png, bee/0.png" in said[0]


def test_dark_ones_among_bright_ones_are_named(deep):
    write_deep(deep / "ant" / "full.png", 65535)
    write_deep(deep / "ant" / "black.png", 0)
    data, said = load_own(deep)
    assert data.train.bits == 16
    assert "8 of 10 images of more than 8 bits are nearly black where 16 are white: ant/0.png, ant/1.png" in said[0]
    assert "black.png" not in said[0], "which it would be at any depth"


def test_full_depth_and_8_bits_are_not_worth_a_word(photos, tmp_path):
    for name in CLASSES:
        write_deep(tmp_path / "full" / name / "0.png", 65535)
    data, said = load_own(tmp_path / "full")
    assert (data.train.bits, said) == (16, [])
    assert load_own(photos)[0].train.bits is None


def test_a_continued_run_keeps_its_bits(deep, tmp_path):
    run = write_run(tmp_path / "run")
    assert load_own(deep, bits=12, run=run)[0].train.bits == 12
    assert load_own(deep, run=run)[0].train.bits is None, "a run from before depths were looked for"


def test_bits_are_for_own_images():
    with pytest.raises(ValueError, match="--bits is for --dataset folder; cub is read as published"):
        DataConfig(dataset="cub", bits=12)
    with pytest.raises(ValueError, match=r"--bits must lie in 8\.\.16, got 4"):
        DataConfig(dataset="folder", bits=4)
