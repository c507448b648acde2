"""ImageNet, and a user's own images, as folders of classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from dml.data.classification.splits import hold_out_images
from dml.data.classification.structure import ClassificationData
from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    SplitSize,
    class_folders,
    fetch_command,
    find_root,
    read_class_folders,
    require_classes,
)
from dml.data.own_data import read_own_data
from dml.data.own_images import turned_upright
from dml.data.own_splits import CLASSIFICATION, UNSPLIT
from dml.data.records import ImageRecords
from dml.data.screening import Screening, screened

TEST_SHARE = 0.2  # of each class, where a folder has no split of its own
TEST_SEED = 0  # fixed, so that runs of every seed are judged by the same images
HOW_TO_GIVE = (
    "Give your own images with --data-dir: a folder with train/ and val/ or test/, one folder per class in each; or a"
    " folder with one folder per class, a fifth of whose images are held out to test; or a CSV file path,label[,split]"
)


def load_folder(data_dir: Path, screening: Screening | None = None) -> ClassificationData:
    """A CSV file ``path,label[,split]``, ``data_dir`` itself or the one such list in it; or ``train/<class>/`` with
    ``test/<class>/`` or ``val/<class>/`` (beside ``test/``: the validation split); or ``<class>/``. Without splits a
    seeded fifth of each class tests. The images are turned upright.

    Args:
        screening: how the images are checked; None: no file is opened.

    Raises:
        DatasetNotFoundError: if ``data_dir`` does not exist.
        DatasetError: no images, too few classes, a class that was never trained, an unusable list, or folders that are
            splits but not such as a classifier needs. See also ``Screening``.

    Warns:
        DatasetWarning: files and class folders that are passed over (not with a CSV file, which names its images);
            folders and class names that may be meant otherwise. See also ``Screening``.
    """
    splits, source = read_own_data(data_dir, CLASSIFICATION, HOW_TO_GIVE)
    if set(splits) != {UNSPLIT}:
        return turned_upright(screened(_assemble("folder", splits, source), source, screening))
    records, left_out = splits[UNSPLIT], ()
    require_classes(records, source)
    if screening is not None:  # before the draw, so that a file that was left out may be deleted
        kept, left_out = screening({UNSPLIT: records}, source.parent if source.is_file() else source)
        records = kept[UNSPLIT]
    held = hold_out_images(records, TEST_SHARE, seed=TEST_SEED, flag=f"{source}: a test share of")
    return turned_upright(ClassificationData("folder", *held, by_rule=True, left_out=left_out))


def load_splits(name: str, root: Path) -> ClassificationData:
    """``root/train/`` with ``root/test/``, ``root/val/`` or both, class folders in each.

    Raises:
        DatasetError: no images, too few classes, or a class that was never trained.
    """
    folders = {split: root / split for split in CLASSIFICATION.known if (root / split).is_dir()}
    return _assemble(name, {split: read_class_folders(folder) for split, folder in folders.items()}, root)


def _assemble(name: str, splits: Mapping[str, ImageRecords], source: Path) -> ClassificationData:
    """Classification data from split → records; ``source`` is what error messages name."""
    if "train" not in splits or not {"test", "val"} & set(splits):
        missing = "test" if "train" in splits else "train"
        raise DatasetError(f"{source} has no split {missing!r}: give train, and test or val")
    if foreign := sorted(set(splits) - set(CLASSIFICATION.known)):
        raise DatasetError(f"{source} has the split {foreign[0]!r}: a classifier is given train, test and val")
    train = splits["train"]
    require_classes(train, f"{source} (split 'train')")
    like = {split: _like(train, splits[split], source, split) for split in ("test", "val") if split in splits}
    if "test" not in like:
        return ClassificationData(name, train, like["val"])
    return ClassificationData(name, train, like["test"], like.get("val"))


def _like(train: ImageRecords, records: ImageRecords, source: Path, split: str) -> ImageRecords:
    """``records``, the ``split`` of ``source``, under the class numbers of ``train``."""
    require_classes(records, where := f"{source} (split {split!r})", needed=1)
    unknown = sorted(set(records.class_names) - set(train.class_names))
    if unknown:
        raise DatasetError(f"{where}: training has no class {', '.join(unknown[:5])}")
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
            f" {fetch_command('imagenet', data_dir)} says how"
        )
    train = read_class_folders(root / "train")
    require_classes(train, root / "train")
    return ClassificationData("imagenet", train, _like(train, read_class_folders(root / "val"), root, "val"))


FOLDER = DatasetSpec(name="folder", load=load_folder, official={}, fetch=HOW_TO_GIVE)
IMAGENET = DatasetSpec(
    name="imagenet",
    load=load_imagenet,
    official={"train": SplitSize(1000, 1_281_167), "test": SplitSize(1000, 50_000)},
    fetch=fetch_command("imagenet"),
    aliases=("ImageNet",),
)
