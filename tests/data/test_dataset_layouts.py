"""Every layout in which the four benchmarks are found."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
from tiny_images import write_annotations, write_classes, write_image, write_lying

from dml.data import DATASETS, DatasetError, DatasetNotFoundError, DatasetWarning, RetrievalData, load_dataset
from dml.data.images import image_of
from dml.registry import UnknownNameError

CLASSES = ["001.a", "002.b", "003.c", "004.d"]


def load(name: str, data_dir: Path) -> RetrievalData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DatasetWarning)
        data = load_dataset(name, data_dir)
    for records in (data.train, data.query, *([data.gallery] if data.gallery else [])):
        assert all(Path(path).is_file() for path in records.paths)
    return data


def sizes(data: RetrievalData) -> list[tuple[int, int]]:
    return [(records.num_classes, len(records)) for records in (data.train, data.query)]


# CUB


@pytest.mark.parametrize("folder", ["CUB_200_2011", "cub200", "cub", "."])
def test_cub_class_folders(tmp_path, folder):
    images = tmp_path / folder / "images"
    write_classes(images, CLASSES)
    (images / "001.a" / "._0.jpg").write_bytes(b"litter of macOS")
    (images / "001.a" / "notes.txt").write_text("no image")
    data = load("cub", tmp_path)
    assert sizes(data) == [(2, 4), (2, 4)]
    assert data.train.class_names == ("001.a", "002.b")
    assert data.gallery is None
    assert data.recall_ks == (1, 2, 4, 8, 16, 32)


def test_a_benchmark_ignores_the_exif_orientation_as_published(tmp_path):
    for name in CLASSES:
        write_lying(tmp_path / "cub" / "images" / name / "0.jpg")
    data = load("cub", tmp_path)
    assert image_of(data.train, 0).size == image_of(data.query, 0).size == (8, 6)


def test_cub_is_built_from_its_lists(tmp_path):
    root = tmp_path / "CUB_200_2011"
    write_classes(root / "images", CLASSES, per_class=3)
    listed = [f"{name}/{i}.jpg" for name in CLASSES for i in range(2)]
    (root / "images.txt").write_text("".join(f"{i} {path}\n" for i, path in enumerate(listed, 1)))
    (root / "image_class_labels.txt").write_text("".join(f"{i} {(i + 1) // 2}\n" for i in range(1, 9)))
    assert sizes(load("cub", tmp_path)) == [(2, 4), (2, 4)]
    (root / "image_class_labels.txt").write_text("1 1\n2 1\n")
    with pytest.raises(DatasetError, match="list different images"):
        load("cub", tmp_path)


def test_damaged_list_is_named(tmp_path):
    root = tmp_path / "CUB_200_2011"
    write_classes(root / "images", CLASSES)
    (root / "images.txt").write_text("1 001.a/0.jpg\n2")
    (root / "image_class_labels.txt").write_text("1 1\n")
    with pytest.raises(DatasetError, match=r"images\.txt is damaged"):
        load("cub", tmp_path)


def test_cub_2010_is_refused(tmp_path):
    write_classes(tmp_path / "images", CLASSES)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "files.txt").touch()
    with pytest.raises(DatasetError, match=r"CUB-200 \(2010"):
        load("cub", tmp_path)


# Cars


def write_pooled_cars(root: Path, class_ids: list[int]) -> None:
    names = [f"car_ims/{i:06d}.jpg" for i in range(len(class_ids))]
    for name in names:
        write_image(root / name)
    write_annotations(root / "cars_annos.mat", "relative_im_path", names, class_ids)


def write_cars_in_parts(root: Path, nested: bool = False) -> None:
    for part, path, class_ids in (
        ("cars_train", "devkit/cars_train_annos.mat", [1, 98, 99, 196]),
        ("cars_test", "cars_test_annos_withlabels.mat", [98, 99, 100]),
    ):
        names = [f"{i:05d}.jpg" for i in range(len(class_ids))]
        for name in names:
            write_image(root / part / (part if nested else "") / name)
        write_annotations(root / path, "fname", names, class_ids)


@pytest.mark.parametrize("folder", ["cars196", "cars", "."])
def test_cars_pooled_list_is_split_by_class_id(tmp_path, folder):
    write_pooled_cars(tmp_path / folder, [99, 1, 1, 98, 100, 196, 99])
    data = load("cars", tmp_path)
    assert data.train.class_names == ("1", "98")
    assert data.query.class_names == ("99", "100", "196")
    assert sizes(data) == [(2, 3), (3, 4)]


def test_cars_with_few_classes_are_halved(tmp_path):
    write_pooled_cars(tmp_path / "cars196", [1, 2, 3, 4, 5])
    assert load("cars", tmp_path).train.class_names == ("1", "2")


@pytest.mark.parametrize("nested", [False, True])
def test_cars_official_parts_are_pooled(tmp_path, nested):
    write_cars_in_parts(tmp_path / "stanford_cars", nested)
    data = load("cars", tmp_path)
    assert sizes(data) == [(2, 3), (3, 4)]


def test_cars_part_without_its_list_is_named(tmp_path):
    write_cars_in_parts(tmp_path)
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    with pytest.raises(DatasetError, match=r"needs its list cars_test_annos_withlabels\.mat"):
        load("cars", tmp_path)


def test_cars_damaged_list_is_named(tmp_path):
    write_pooled_cars(tmp_path, [1, 2, 3, 4])
    (tmp_path / "cars_annos.mat").write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"cars_annos\.mat is no list"):
        load("cars", tmp_path)


@pytest.mark.parametrize("folder", ["cars196", "cars196/images", "."])
def test_cars_class_folders(tmp_path, folder):
    write_classes(tmp_path / folder, CLASSES)
    assert sizes(load("cars", tmp_path)) == [(2, 4), (2, 4)]


def test_other_datasets_are_not_taken_for_classes_of_cars(tmp_path):
    for name in ("CUB_200_2011", "Stanford_Online_Products", "Inshop_Clothes", "glyphs"):
        write_classes(tmp_path / name / "images", CLASSES)
    with pytest.raises(DatasetNotFoundError):
        load("cars", tmp_path)


# SOP


@pytest.mark.parametrize(
    ("lists", "images"),
    [
        ("Stanford_Online_Products", "Stanford_Online_Products"),
        (".", "."),
        ("online_products/Info_Files", "online_products/images"),
    ],
)
def test_sop(tmp_path, lists, images):
    (tmp_path / lists).mkdir(parents=True, exist_ok=True)
    for split, first in (("train", 9), ("test", 11319)):
        rows = [(i, first + i // 2, 1, f"chair_final/{first}_{i}.JPG") for i in range(4)]
        for *_, name in rows:
            write_image(tmp_path / images / name)
        lines = ["image_id class_id super_class_id path", *(" ".join(map(str, row)) for row in rows)]
        (tmp_path / lists / f"Ebay_{split}.txt").write_text("\n".join(lines) + "\n")
    data = load("SOP", tmp_path)
    assert sizes(data) == [(2, 4), (2, 4)]
    assert data.train.class_names == ("9", "10")
    assert data.recall_ks == (1, 10, 100, 1000)


# In-Shop


def write_inshop(root: Path, images: str, lists: str) -> None:
    rows = [(1, "train"), (1, "train"), (2, "train")]
    rows += [(7, "query"), (7, "gallery"), (8, "gallery"), (9, "query"), (9, "gallery"), (9, "gallery")]
    lines = [str(len(rows)), "image_name item_id evaluation_status"]
    for i, (item, status) in enumerate(rows):
        name = f"img/WOMEN/Tees_Tanks/id_{item:08d}/{i:02d}_front.jpg"
        write_image(root / images / name)
        lines.append(f"{name}    id_{item:08d}    {status}")
    (root / lists).mkdir(parents=True, exist_ok=True)
    (root / lists / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("folder", ["Inshop_Clothes", "In-shop Clothes Retrieval Benchmark", "."])
@pytest.mark.parametrize("images", ["", "Img"])
@pytest.mark.parametrize("lists", ["Eval", ""])
def test_inshop(tmp_path, folder, images, lists):
    write_inshop(tmp_path / folder, images, lists)
    data = load("Inshop", tmp_path)
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.query.class_names == data.gallery.class_names == ("id_00000007", "id_00000008", "id_00000009")
    assert data.query.labels.tolist() == [0, 2]
    assert data.gallery.labels.tolist() == [0, 1, 2, 2]
    assert data.recall_ks == (1, 10, 20, 30, 40, 50)
    assert data.ties_count_for_query and not data.is_own, "as published"


def test_inshop_without_images_says_so(tmp_path):
    write_inshop(tmp_path, "", "Eval")
    shutil.rmtree(tmp_path / "img")
    with pytest.raises(DatasetNotFoundError, match=r"no img/ folder"):
        load("Inshop", tmp_path)


def test_inshop_unknown_status_is_named(tmp_path):
    write_inshop(tmp_path, "", "")
    path = tmp_path / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("query", "quary"))
    with pytest.raises(DatasetError, match="'quary'"):
        load("Inshop", tmp_path)


# All of them


@pytest.mark.parametrize("name", ["cub", "cars", "SOP", "Inshop"])
def test_missing_dataset_says_where_it_looked_and_what_fetches_it(tmp_path, name):
    with pytest.raises(DatasetNotFoundError) as error:
        load_dataset(name, tmp_path)
    assert str(tmp_path) in str(error.value)
    assert f"python scripts/download_dataset.py {name}" in str(error.value)
    assert isinstance(error.value, FileNotFoundError)


def test_unofficial_size_is_one_warning_per_split_with_both_numbers(tmp_path):
    write_classes(tmp_path / "CUB_200_2011/images", CLASSES)
    with pytest.warns(DatasetWarning) as caught:
        load_dataset("cub", tmp_path)
    assert len(caught) == 2
    assert "cub, train: found 2 classes, 4 images; official 100 classes, 5,864 images" in str(caught[0].message)


@pytest.mark.parametrize(
    ("alias", "name"),
    [("cub200", "cub"), ("cars196", "cars"), ("online_products", "SOP"), ("sop", "SOP"), ("inshop", "Inshop")],
)
def test_published_names(alias, name):
    assert DATASETS.canonical(alias) == name


def test_unknown_dataset_lists_the_names(tmp_path):
    with pytest.raises(UnknownNameError, match="glyphs"):
        load_dataset("cubs", tmp_path)
