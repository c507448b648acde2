"""What spoils a training or its figures is counted and named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tiny_images import write_image

from dml.data import load_dataset
from dml.data.classification import load_classification
from dml.data.findings import findings
from dml.data.unlabelled import load_unlabelled


def write_photos(folder: Path, counts: dict[str, int]) -> None:
    """``folder/<class>/<i>.png``, no two alike."""
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            write_image(folder / name / f"{i}.png", colour=(10 * number, 10 * i, 200))


def write_table(folder: Path, rows: list[str]) -> Path:
    table = folder / "list.csv"
    table.write_text("\n".join(["path,label,split", *rows]))
    return table


FOUR = {"ant": 3, "bee": 3, "cat": 3, "dog": 3}
TRAINING = [f"{name}/{i}.png,{name},train" for name in ("ant", "bee") for i in range(3)]
TESTED = [f"{name}/{i}.png,{name}" for name in ("cat", "dog") for i in range(3)]


@pytest.fixture
def photos(tmp_path) -> Path:
    write_photos(tmp_path, FOUR)
    return tmp_path


def found(data_dir: Path, load=load_dataset) -> list[str]:
    """The findings, paths relative to the images' folder."""
    root = data_dir if data_dir.is_dir() else data_dir.parent
    return [line.replace(f"{root}/", "") for line in findings(load("folder", data_dir))]


def test_sound_data_are_not_mentioned(photos):
    assert found(photos) == found(photos, load_classification) == []


def test_an_image_in_query_and_gallery(photos):
    table = write_table(photos, TRAINING + [f"{row},{split}" for row in TESTED for split in ("query", "gallery")])
    assert found(table) == ["6 of 6 queries are in the gallery too (cat/0.png; cat/1.png; cat/2.png; …)"]


def test_an_image_listed_twice(photos):
    table = write_table(photos, [*TRAINING, *(f"{row},test" for row in [*TESTED, TESTED[0]])])
    assert found(table) == ["1 of 7 test images is listed twice (cat/0.png)"]


def test_one_file_under_two_labels_is_named_with_both(photos):
    table = write_table(photos, [*TRAINING, *(f"{row},test" for row in TESTED), "cat/1.png,dog,test"])
    assert found(table)[0] == "1 image has several labels (cat/1.png is cat and dog)"


def test_copies_under_other_names(photos):
    shutil.copy(photos / "ant" / "0.png", photos / "dog" / "copy.png")
    shutil.copy(photos / "cat" / "2.png", photos / "cat" / "copy.png")
    (photos / "bee" / "link.png").symlink_to(photos / "bee" / "1.png")
    assert found(photos) == [
        "1 image has several labels (ant/0.png is ant and dog/copy.png is dog)",
        "1 of 8 test images is a training image too (dog/copy.png = ant/0.png)",
        "1 of 7 training images is listed twice (bee/link.png)",
        "1 of 8 test images is a copy of another, byte for byte (cat/copy.png = cat/2.png)",
    ]


def test_queries_without_an_answer(tmp_path):
    write_photos(tmp_path / "alone", {"ant": 2, "bee": 2, "cat": 3, "dog": 1})
    assert found(tmp_path / "alone") == [
        "1 of 4 test images cannot be answered: there is no other image of their classes to find (dog)"
    ]
    write_photos(tmp_path / "none", {"ant": 1, "bee": 1, "cat": 1, "dog": 1})
    (line,) = found(tmp_path / "none")
    assert line.startswith("none of the 2 test images can be answered, so that figures say nothing")


def test_a_class_that_the_gallery_lacks_or_has_as_a_copy_alone(photos):
    shutil.copy(photos / "dog" / "0.png", photos / "copy.png")
    rows = ["cat/0.png,cat,query", "dog/0.png,dog,query", "cat/1.png,cat,gallery", "copy.png,dog,gallery"]
    table = write_table(photos, TRAINING + rows)
    assert found(table) == [
        "1 of 2 queries is in the gallery too (dog/0.png = copy.png)",
        "1 of 2 queries cannot be answered: there is no other image of their classes to find (dog)",
    ]


def test_held_out_classes_count_too(photos):
    write_photos(photos / "more", {"elk": 2, "fox": 1, "gnu": 0, "hen": 2})
    rows = [f"more/{path},val" for path in ("fox/0.png,fox", "hen/0.png,hen", "hen/1.png,hen")]
    table = write_table(photos, [*TRAINING, *(f"{row},test" for row in TESTED), *rows])
    assert found(table)[-1] == (
        "1 of 3 validation images cannot be answered: there is no other image of their classes to find (fox)"
    )


def test_a_classifier_is_told_of_the_same(tmp_path):
    write_photos(tmp_path, {"ant": 6, "bee": 6, "cat": 1})
    assert found(tmp_path, load_classification) == ["1 of 3 classes have no test image (cat)"]
    data = load_classification("folder", tmp_path)
    shutil.copy(data.train.paths[0], data.test.paths[0])
    assert findings(data)[0].startswith("1 of 2 test images is a training image too")


def test_images_without_classes(photos):
    shutil.copy(photos / "ant" / "0.png", photos / "copy.png")
    data = load_unlabelled(photos)
    assert [line.partition(" (")[0] for line in findings(data)] == [
        "1 of 13 images is a copy of another, byte for byte"
    ]


def test_copies_that_may_answer_leave_no_query_without_an_answer(photos):
    rows = [f"cat/0.png,cat,{split}" for split in ("query", "gallery")]
    rows += [f"dog/{i}.png,dog,{split}" for i in range(2) for split in ("query", "gallery")]
    data = load_dataset("folder", write_table(photos, TRAINING + rows))
    assert any(line.startswith("1 of 3 queries cannot be answered") for line in findings(data))
    assert not any("answered" in line for line in findings(data, copies_answer=True))
