"""A user's images without classes: whatever lies below a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from dml.data.layout import DatasetError, DatasetNotFoundError, images_below, is_image
from dml.data.own_images import turned_upright, warn_of_left_out
from dml.data.own_splits import UNSPLIT
from dml.data.own_table import lists_in
from dml.data.records import ImageRecords, LeftOut
from dml.data.run_split import continued, has_split
from dml.data.screening import Screening, screened
from dml.errors import UserError
from dml.places import from_home

NO_CLASS = "image"
FEWEST_TO_MAP = 5  # by t-SNE, as at the end of every training


@dataclass(frozen=True, eq=False)
class UnlabelledData:
    """Images to learn from, and to search among themselves.

    Attributes:
        name: ``folder``.
        train: all images, of one class that says nothing.
        val: None; there are no classes to hold out.
        left_out: what cannot be read, and is not in ``train``.
    """

    NUMBERINGS: ClassVar = (("train",),)
    by_rule: ClassVar = False
    unused: ClassVar = None

    name: str
    train: ImageRecords
    val: None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def parts(self) -> dict[str, ImageRecords]:
        """All images, which train."""
        return {"train": self.train}

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: None) -> UnlabelledData:
        """Those of ``parts``."""
        return replace(self, train=parts["train"])


def is_unlabelled(data_dir: Path) -> bool:
    """Whether ``data_dir`` is a folder with images directly in it, and without a list of images and labels."""
    if not data_dir.is_dir() or lists_in(data_dir):
        return False
    return any(is_image(entry.name) and not entry.is_dir() for entry in data_dir.iterdir())


def without_classes(dataset: str, data_dir: Path, asked: bool | None) -> bool:
    """Whether the images of ``dataset`` are taken without classes: as asked, else if they are a user's own flat folder.

    Raises:
        UserError: it was asked of another data set than ``folder``.
    """
    if dataset != "folder":
        if asked:
            raise UserError(f"--unlabelled is for --dataset folder, not for {dataset}")
        return False
    return is_unlabelled(data_dir) if asked is None else asked


def load_unlabelled(
    data_dir: Path,
    *,
    at_least: int = FEWEST_TO_MAP,
    run: Path | None = None,
    accept_changes: bool = False,
    screening: Screening | None = None,
) -> UnlabelledData:
    """Every image below ``data_dir``, at any depth, in the order of ``images_below``, turned upright.

    Two directory listings per folder.

    Args:
        run: folder of the run that is continued; None: a new one.
        accept_changes: go on although the images are others than when it began.
        screening: how the images are checked; None: no file is opened.

    Raises:
        DatasetNotFoundError: there is no such folder.
        DatasetError: fewer than ``at_least`` images, or images that have changed; see ``run_split.continued`` and
            ``Screening``.

    Warns:
        DatasetWarning: files that are passed over. See also ``Screening``.
    """
    if not data_dir.is_dir():
        raise DatasetNotFoundError(f"dataset 'folder': {data_dir} is no folder. Name the one with your images")
    warn_of_left_out(data_dir)
    paths = images_below(data_dir)
    records = ImageRecords(tuple(paths), np.zeros(len(paths), np.int64), (NO_CLASS,))
    data = screened(UnlabelledData("folder", records), data_dir, screening)
    if len(data.train) < at_least:
        readable = " that can be read" if data.left_out else ""
        raise DatasetError(f"{len(data.train)} image(s){readable} below {data_dir}: at least {at_least} are needed")
    data = turned_upright(data)
    return continued(data, data_dir, run, accept=accept_changes) if has_split(run) else data


def load_named(places: Sequence[str | Path], screening: Screening) -> UnlabelledData:
    """The images ``places``, and those below the folders among them, in the order of ``images_below``; turned upright.
    One that is named twice is there once.

    Raises:
        DatasetNotFoundError: a place that is not there.
        DatasetError: no image, none that can be read, and see ``Screening``.
    """
    paths: list[str] = []
    for place in map(from_home, places):
        if not place.exists():
            raise DatasetNotFoundError(f"no such file or folder: {place}")
        paths += images_below(place) if place.is_dir() else [str(place)]
    paths = list(dict.fromkeys(paths))
    if not paths:
        raise DatasetError(f"no images below {', '.join(map(str, places))}")
    records = ImageRecords(tuple(paths), np.zeros(len(paths), np.int64), (NO_CLASS,))
    kept, left_out = screening({UNSPLIT: records}, Path.cwd())
    return turned_upright(UnlabelledData("folder", kept[UNSPLIT], left_out=left_out))
