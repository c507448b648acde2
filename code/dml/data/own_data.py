"""A user's own images with classes, however they are given, as one set of records for each split."""

from __future__ import annotations

from pathlib import Path

from dml.data.layout import DatasetError, DatasetNotFoundError, data_dir_flag, read_class_folders
from dml.data.own_classes import own_classes, warn_of_alike_classes
from dml.data.own_images import warn_of_left_out
from dml.data.own_splits import SplitRules, split_folders
from dml.data.own_table import read_table, table_in
from dml.data.records import ImageRecords
from dml.data.unlabelled import is_unlabelled


def read_own_data(data_dir: Path, rules: SplitRules, how_to_give: str) -> tuple[dict[str, ImageRecords], Path]:
    """Split → records, {UNSPLIT: records} where there are no splits; and the file or folder that says so.

    The first of: a list of images (``data_dir`` itself or the one in it, see ``dml.data.own_table``), folders of splits
    (see ``dml.data.own_splits``), class folders.

    Args:
        rules: which splits are asked for.
        how_to_give: what the message of a missing or empty folder ends with.

    Raises:
        DatasetNotFoundError: ``data_dir`` does not exist.
        DatasetError: no images; an unusable list; folders that are splits but not such as ``rules`` ask for.

    Warns:
        DatasetWarning: files and class folders that are passed over (not with a list, which names its images); folders
            and class names that may be meant otherwise.
    """
    if not data_dir.exists():
        raise DatasetNotFoundError(f"dataset 'folder': {data_dir} does not exist. {how_to_give}")
    table = table_in(data_dir)
    if table is not None:
        splits = read_table(table)
    else:
        folders = split_folders(data_dir, rules)
        splits = {split: own_classes(read_class_folders(folder)) for split, folder in folders.items()}
        is_empty = not any(map(len, splits.values()))
        if is_empty and is_unlabelled(data_dir):
            raise DatasetError(_of_images_without_classes(data_dir, how_to_give))
        warn_of_left_out(data_dir, class_roots=list(folders.values()))
        if is_empty:
            raise DatasetError(f"no images in {data_dir}. {how_to_give}")
    warn_of_alike_classes(name for records in splits.values() for name in records.class_names)
    return splits, table or data_dir


def _of_images_without_classes(data_dir: Path, how_to_give: str) -> str:
    return (
        f"the images of {data_dir} lie in it side by side, and nothing says their classes. Without classes:"
        f" python code/train_stml.py --dataset folder{data_dir_flag(data_dir)} learns from the images alone. With"
        f" classes: {how_to_give[0].lower()}{how_to_give[1:]}"
    )
