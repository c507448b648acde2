"""CUB-200-2011: 200 bird species (Wah et al., 2011); classes 1–100 train, 101–200 test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    SplitSize,
    class_folders,
    fetch_command,
    find_root,
    join_paths,
    read_class_folders,
    read_table,
    require_classes,
    split_classes,
    table_numbers,
)
from dml.data.records import ImageRecords, RetrievalData

RECALL_KS = (1, 2, 4, 8, 16, 32)
FOLDERS = ("CUB_200_2011", "CUB_200_2011/CUB_200_2011", "cub200", "cub")
IMAGES_IN_CUB_2010 = 6033


def load_cub(data_dir: Path) -> RetrievalData:
    """CUB-200-2011 as unpacked from its archive, or any ``images/<class>/`` (LSD's layout).

    The first half of the classes trains, not what ``train_test_split.txt`` says. ``images.txt`` and
    ``image_class_labels.txt`` decide what belongs to the set where they are present.

    Raises:
        DatasetNotFoundError: if no such folder is found.
        DatasetError: if a list is damaged or the images are those of CUB-200 (2010), another set.
    """
    root = find_root(
        "cub", data_dir, FOLDERS, lambda p: bool(class_folders(p / "images")), "images/ with class folders"
    )
    records = _read_lists(root) if _has_lists(root) else read_class_folders(root / "images")
    _refuse_cub_2010(root, records, data_dir)
    require_classes(records, root / "images", needed=4)
    train, test = split_classes(records)
    return RetrievalData("cub", train, test, None, None, RECALL_KS, by_rule=True)


def _has_lists(root: Path) -> bool:
    return (root / "images.txt").is_file() and (root / "image_class_labels.txt").is_file()


def _read_lists(root: Path) -> ImageRecords:
    images = read_table(root / "images.txt", 2)  # image id, <class folder>/<file>
    labels = read_table(root / "image_class_labels.txt", 2)  # image id, class id
    if not np.array_equal(images[:, 0], labels[:, 0]):
        raise DatasetError(f"{root}: images.txt and image_class_labels.txt list different images")
    class_ids = table_numbers(labels[:, 1], root / "image_class_labels.txt")
    return ImageRecords.from_classes(join_paths(root / "images", images[:, 1]), class_ids)


def _refuse_cub_2010(root: Path, records: ImageRecords, data_dir: Path) -> None:
    marked = any((root / mark).exists() for mark in ("lists/files.txt", "annotations-mat"))
    if marked or (len(records) == IMAGES_IN_CUB_2010 and records.num_classes == 200):
        raise DatasetError(
            f"{root} holds CUB-200 (2010, 6,033 images), an older and smaller set; the benchmark is "
            f"CUB-200-2011 (11,788 images). Fetch it: {fetch_command('cub', data_dir)}"
        )


SPEC = DatasetSpec(
    name="cub",
    load=load_cub,
    recall_ks=RECALL_KS,
    official={"train": SplitSize(100, 5864), "query": SplitSize(100, 5924)},
    fetch=fetch_command("cub"),
    aliases=("CUB", "cub200", "CUB200", "cub_200_2011", "CUB_200_2011"),
)
