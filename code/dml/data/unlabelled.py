"""A user's images without classes: whatever lies below a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dml.data.layout import DatasetError, DatasetNotFoundError, images_below, is_image
from dml.data.own_images import turned_upright, warn_of_left_out
from dml.data.own_table import lists_in
from dml.data.records import ImageRecords

NO_CLASS = "image"
FEWEST_TO_MAP = 5  # by t-SNE, as at the end of every training


@dataclass(frozen=True, eq=False)
class UnlabelledData:
    """Images to learn from, and to search among themselves.

    Attributes:
        name: ``folder``.
        train: all images, of one class that says nothing.
        val: None; there are no classes to hold out.
    """

    name: str
    train: ImageRecords
    val: None = None


def is_unlabelled(data_dir: Path) -> bool:
    """Whether ``data_dir`` is a folder with images directly in it, and without a list of images and labels."""
    if not data_dir.is_dir() or lists_in(data_dir):
        return False
    return any(is_image(entry.name) for entry in data_dir.iterdir())


def without_classes(dataset: str, data_dir: Path, asked: bool | None) -> bool:
    """Whether the images of ``dataset`` are taken without classes: as asked, else if they are a user's own flat folder.

    Raises:
        ValueError: it was asked of another data set than ``folder``.
    """
    if dataset != "folder":
        if asked:
            raise ValueError(f"--unlabelled is for --dataset folder, not for {dataset}")
        return False
    return is_unlabelled(data_dir) if asked is None else asked


def load_unlabelled(data_dir: Path, *, at_least: int = FEWEST_TO_MAP, run: Path | None = None) -> UnlabelledData:
    """Every image below ``data_dir``, at any depth, in the order of ``images_below``, turned upright.

    Two directory listings per folder.

    Args:
        run: folder of the run that is continued; None: a new one.

    Raises:
        DatasetNotFoundError: there is no such folder.
        DatasetError: fewer than ``at_least`` images.

    Warns:
        DatasetWarning: files that are passed over.
    """
    if not data_dir.is_dir():
        raise DatasetNotFoundError(f"dataset 'folder': {data_dir} is no folder. Name the one with your images")
    warn_of_left_out(data_dir)
    paths = images_below(data_dir)
    if len(paths) < at_least:
        raise DatasetError(f"{len(paths)} image(s) below {data_dir}: at least {at_least} are needed")
    records = ImageRecords(tuple(paths), np.zeros(len(paths), np.int64), (NO_CLASS,))
    return turned_upright(UnlabelledData("folder", records))
