"""ImageNet, and a user's own images, as folders of classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dml.data.classification.splits import hold_out_images
from dml.data.classification.structure import ClassificationData, ClassificationSpec
from dml.data.layout import (
    DatasetError,
    DatasetNotFoundError,
    SplitSize,
    class_folders,
    fetch_command,
    find_root,
    read_class_folders,
    require_classes,
)
from dml.data.own_images import turned_upright, warn_of_left_out
from dml.data.records import ImageRecords
from dml.data.screening import YET_TO_BE_SPLIT, Screening, screened

TEST_SHARE = 0.2  # of each class, where a folder has no split of its own
TEST_SEED = 0  # fixed, so that runs of every seed are judged by the same images
HOW_TO_GIVE = (
    "Give your own images with --data-dir: a folder with train/ and val/ or test/, one folder per class in each, or a"
    " folder with one folder per class, a fifth of whose images are held out to test"
)


def load_folder(data_dir: Path, screening: Screening | None = None) -> ClassificationData:
    """``train/<class>/`` with ``test/<class>/`` or ``val/<class>/`` (beside ``test/``: the validation split), or
    ``<class>/``, of which a seeded fifth of each class tests. The images are turned upright.

    Args:
        screening: how the images are checked; None: no file is opened.

    Raises:
        DatasetNotFoundError: if ``data_dir`` does not exist.
        DatasetError: no images, too few classes, or a class that was never trained. See also ``Screening``.

    Warns:
        DatasetWarning: files and class folders that are passed over. See also ``Screening``.
    """
    if not data_dir.is_dir():
        raise DatasetNotFoundError(f"dataset 'folder': there is no folder {data_dir}. {HOW_TO_GIVE}")
    present = set(class_folders(data_dir))
    if "train" in present and present & {"val", "test"}:
        splits = sorted(present & {"train", "val", "test"})
        warn_of_left_out(data_dir, class_roots=[data_dir / split for split in splits])
        return turned_upright(screened(load_splits("folder", data_dir), data_dir, screening))
    warn_of_left_out(data_dir, class_roots=[data_dir])
    records = read_class_folders(data_dir)
    require_classes(records, data_dir)
    left_out = ()
    if screening is not None:  # before the draw, so that a file that was left out may be deleted
        kept, left_out = screening({YET_TO_BE_SPLIT: records}, data_dir)
        records = kept[YET_TO_BE_SPLIT]
    held = hold_out_images(records, TEST_SHARE, seed=TEST_SEED, flag=f"{data_dir}: a test share of")
    return turned_upright(ClassificationData("folder", *held, left_out=left_out))


def load_splits(name: str, root: Path) -> ClassificationData:
    """``root/train/`` with ``root/test/``, ``root/val/`` or both; see ``load_folder`` for what is raised."""
    train = read_class_folders(root / "train")
    require_classes(train, root / "train")
    splits = {split: _like(train, root / split) for split in ("test", "val") if (root / split).is_dir()}
    if "test" not in splits:
        return ClassificationData(name, train, splits["val"])
    return ClassificationData(name, train, splits["test"], splits.get("val"))


def _like(train: ImageRecords, folder: Path) -> ImageRecords:
    """The images of ``folder`` under the class numbers of ``train``."""
    records = read_class_folders(folder)
    require_classes(records, folder, needed=1)
    unknown = sorted(set(records.class_names) - set(train.class_names))
    if unknown:
        raise DatasetError(f"{folder}: training has no class {', '.join(unknown[:5])}")
    numbers = np.searchsorted(train.class_names, records.class_names)  # both are sorted
    return replace(records, labels=numbers[records.labels], class_names=train.class_names)


def load_imagenet(data_dir: Path) -> ClassificationData:
    """ImageNet-1K as ``train/<class>/`` and ``val/<class>/``; ``val`` is what published figures test on."""
    root = find_root(
        "imagenet",
        data_dir,
        ("imagenet", "ImageNet", "imagenet-1k", "ILSVRC2012", "ILSVRC/Data/CLS-LOC"),
        lambda place: bool(class_folders(place / "train") and (place / "val").is_dir()),
        "train/<class>/ and val/",
    )
    if not class_folders(root / "val"):
        raise DatasetError(
            f"{root / 'val'} has no class folders: sort the 50,000 validation images into them first;"
            f" {fetch_command('imagenet')} says how"
        )
    train = read_class_folders(root / "train")
    require_classes(train, root / "train")
    return ClassificationData("imagenet", train, _like(train, root / "val"))


FOLDER = ClassificationSpec(name="folder", load=load_folder, official={}, fetch=HOW_TO_GIVE)
IMAGENET = ClassificationSpec(
    name="imagenet",
    load=load_imagenet,
    official={"train": SplitSize(1000, 1_281_167), "test": SplitSize(1000, 50_000)},
    fetch=fetch_command("imagenet"),
    aliases=("ImageNet",),
)
