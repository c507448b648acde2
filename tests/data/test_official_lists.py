"""The loaders on the complete official lists of CUB-200-2011 and Cars-196, laid out with images of one pixel.

The lists are not part of this repository: $DML_OFFICIAL_LISTS names their folder. In it ``CUB_200_2011`` has the lists
as its archive does, ``cars196`` has ``cars_annos.mat`` and the files of the devkit with ``devkit_`` before their names.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from tiny_images import write_annotations

import verify_dataset
from dml.data import DatasetError, RetrievalData, load_dataset

LISTS = Path(os.environ.get("DML_OFFICIAL_LISTS", "none"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not LISTS.is_dir(), reason="the official lists are not there: DML_OFFICIAL_LISTS names them"),
]


def write_images(root: Path, names: Iterable[str]) -> None:
    """An image of one pixel for each of the relative names, each of a colour of its own."""
    for number, name in enumerate(names):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"P6 1 1 255\n" + number.to_bytes(3, "big"))


def check(name: str, data_dir: Path, root: Path, expected: Mapping[str, int], num_train: int, images: tuple[int, int]):
    """Every file of ``expected`` is in the half of its class with its label, no other is, and nothing is complained of.

    Args:
        root: folder that the names in ``expected`` are relative to.
        expected: name → class id from 1.
        num_train: classes that train.
        images: official numbers of both halves.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load_dataset(name, data_dir)
    assert (len(data.train), len(data.query), data.gallery) == (*images, None)
    loaded = ids_of(data)
    assert loaded == {f"{root}/{path}": number for path, number in expected.items()}
    assert len(loaded) == sum(images)
    for records, is_train in ((data.train, True), (data.query, False)):
        assert all((loaded[path] <= num_train) == is_train for path in records.paths)


def check_verified(name: str, data_dir: Path) -> None:
    """``scripts/verify_dataset.py`` finds two halves of the official sizes, no copies, and nothing to complain of."""
    report = verify_dataset.verify(name, data_dir)
    assert not report.problems and not report.notes
    assert len(report.summary) == 2


def ids_of(data: RetrievalData) -> dict[str, int]:
    """Path → class id, as the names of the classes begin: "7", "007.Parakeet_Auklet"."""
    return {
        path: int(records.class_names[label].partition(".")[0])
        for records in (data.train, data.query)
        for path, label in zip(records.paths, records.labels.tolist(), strict=True)
    }


# CUB


@pytest.fixture(scope="module")
def birds(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The archive's folder, and name → class id."""
    folder = tmp_path_factory.mktemp("birds") / "CUB_200_2011"
    folder.mkdir()
    for file in (LISTS / "CUB_200_2011").iterdir():
        (folder / file.name).symlink_to(file)
    names = dict(line.split() for line in (folder / "images.txt").read_text().splitlines())
    classes = dict(line.split() for line in (folder / "image_class_labels.txt").read_text().splitlines())
    write_images(folder / "images", names.values())
    assert len(names) == len(classes) == 11_788
    expected = {name: int(classes[number]) for number, name in names.items()}
    assert all(name.startswith(f"{number:03d}.") for name, number in expected.items())
    return folder, expected


@pytest.mark.parametrize("place", ["CUB_200_2011", "CUB_200_2011/CUB_200_2011", "cub200", "cub", "."])
@pytest.mark.parametrize("lists", [True, False], ids=["lists", "class folders"])
def test_cub(birds, tmp_path, place, lists):
    folder, expected = birds
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        if lists or file.name == "images":
            (tmp_path / place / file.name).symlink_to(file)
    check("cub", tmp_path, tmp_path / place / "images", expected, 100, (5_864, 5_924))
    if place == "cub200":
        check_verified("cub", tmp_path)


# Cars

CARS = (8_054, 8_131)


@pytest.fixture(scope="module")
def cars(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The folder of ``cars_annos.mat`` with its images, and name → class id."""
    folder = tmp_path_factory.mktemp("cars")
    (folder / "cars_annos.mat").symlink_to(LISTS / "cars196" / "cars_annos.mat")
    expected = {str(one["relative_im_path"].item()): int(one["class"].item()) for one in annotations("cars_annos.mat")}
    write_images(folder, expected)
    return folder, expected


@pytest.fixture(scope="module")
def parts(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The folder of the devkit's two parts with their images, and name → class id.

    Its list of the test part has no labels. The one that has them is made of it and of ``cars_annos.mat``: both list
    the same boxes, of which 7 stand there twice with two classes, both of one half.
    """
    folder = tmp_path_factory.mktemp("parts")
    (folder / "devkit").mkdir()
    (folder / "devkit" / "cars_train_annos.mat").symlink_to(LISTS / "cars196" / "devkit_cars_train_annos.mat")
    train = {str(one["fname"].item()): int(one["class"].item()) for one in annotations("devkit_cars_train_annos.mat")}
    classes = defaultdict(list)
    for one in annotations("cars_annos.mat"):
        if one["test"].item():
            classes[box(one)].append(int(one["class"].item()))
    test = {str(one["fname"].item()): classes[box(one)].pop() for one in annotations("devkit_cars_test_annos.mat")}
    assert not any(classes.values())
    write_annotations(folder / "cars_test_annos_withlabels.mat", "fname", list(test), list(test.values()))
    expected = {f"cars_train/{name}": number for name, number in train.items()}
    expected |= {f"cars_test/{name}": number for name, number in test.items()}
    assert (len(train), len(test), len(expected)) == (8_144, 8_041, 16_185)
    write_images(folder, expected)
    return folder, expected


def annotations(name: str) -> np.ndarray:
    """(N,) structs of a list."""
    return scipy.io.loadmat(LISTS / "cars196" / name)["annotations"][0]


def box(annotation: np.void) -> tuple[int, ...]:
    return tuple(int(annotation[f"bbox_{side}"].item()) for side in ("x1", "y1", "x2", "y2"))


@pytest.mark.parametrize("place", ["cars196", "cars", "stanford_cars", "."])
def test_cars_by_the_pooled_list(cars, tmp_path, place):
    folder, expected = cars
    (tmp_path / place).mkdir(exist_ok=True)
    for name in ("cars_annos.mat", "car_ims"):
        (tmp_path / place / name).symlink_to(folder / name)
    check("cars", tmp_path, tmp_path / place, expected, 98, CARS)
    if place == "cars196":
        check_verified("cars", tmp_path)


@pytest.mark.parametrize(
    ("nested", "train_list", "test_list"),
    [
        (True, "devkit/cars_train_annos.mat", "cars_test_annos_withlabels.mat"),
        (False, "cars_train_annos.mat", "devkit/cars_test_annos_withlabels.mat"),
    ],
)
def test_cars_in_the_devkit_s_parts(parts, tmp_path, nested, train_list, test_list):
    folder, expected = parts
    root = tmp_path / "stanford_cars"
    (root / "devkit").mkdir(parents=True)
    (root / train_list).symlink_to(folder / "devkit" / "cars_train_annos.mat")
    (root / test_list).symlink_to(folder / "cars_test_annos_withlabels.mat")
    for part in ("cars_train", "cars_test"):
        place = root / part / part if nested else root / part
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(folder / part)
    if nested:
        expected = {f"{name.partition('/')[0]}/{name}": number for name, number in expected.items()}
    check("cars", tmp_path, root, expected, 98, CARS)
    if nested:
        check_verified("cars", tmp_path)


def test_cars_in_class_folders(cars, tmp_path):
    folder, listed = cars
    expected = {f"{number:03d}/{Path(name).name}": number for name, number in listed.items()}
    for number in range(1, 197):
        (tmp_path / "cars196" / f"{number:03d}").mkdir(parents=True)
    for name, target in zip(expected, listed, strict=True):
        (tmp_path / "cars196" / name).symlink_to(folder / target)
    check("cars", tmp_path, tmp_path / "cars196", expected, 98, CARS)
    check_verified("cars", tmp_path)
    (tmp_path / "lsd" / "cars").mkdir(parents=True)
    (tmp_path / "lsd" / "cars" / "images").symlink_to(tmp_path / "cars196")
    check("cars", tmp_path / "lsd", tmp_path / "lsd" / "cars" / "images", expected, 98, CARS)


def test_the_list_without_labels_is_refused(parts, tmp_path):
    folder, _ = parts
    for name in ("cars_train", "cars_test", "devkit"):
        (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "cars_test_annos_withlabels.mat").symlink_to(LISTS / "cars196" / "devkit_cars_test_annos.mat")
    with pytest.raises(DatasetError, match="is no list of Cars-196 with classes"):
        load_dataset("cars", tmp_path)
