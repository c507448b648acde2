"""What the data sets of both kinds, of retrieval and of classification, share: how one is loaded for a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from dml.config import DataConfig
from dml.data.kept_images import with_kept_images
from dml.data.layout import DatasetSpec, DatasetWarning, SplitSize
from dml.data.records import ImageRecords
from dml.data.run_split import continued, has_split
from dml.data.screening import Screening, screening_for
from dml.places import from_home

Data = TypeVar("Data")  # a SplitData


def load_whole(spec: DatasetSpec, data_dir: str | Path, screening: Screening | None, **options: Any) -> Any:
    """The data set of ``spec`` found in or below ``data_dir``, nothing held out.

    Args:
        screening: how a user's own images (``folder``) are checked; None: no file is opened.
        options: what else the loader is told.

    Raises:
        DatasetNotFoundError: if it is not there; the message says where it looked and what fetches it.
        DatasetError: if its files are wrong or the split is impossible.

    Warns:
        DatasetWarning: for each split whose size is not the official one.
    """
    place = from_home(data_dir)
    data = spec.load(place, **options) if screening is None else spec.load(place, screening, **options)
    for difference in size_differences(spec, data):
        warnings.warn(difference, DatasetWarning, stacklevel=3)
    return data


def size_differences(spec: DatasetSpec, data: Any) -> list[str]:
    """One line for each split of ``data`` that has not the official number of classes and images."""
    lines = []
    for split, official in spec.official.items():
        records: ImageRecords = getattr(data, split)
        found = SplitSize(int((records.class_counts() > 0).sum()), len(records))
        if found != official:
            lines.append(f"{spec.name}, {split}: found {found}; official {official}")
    return lines


def data_of_run(
    load: Callable[..., Data], config: DataConfig, run: Path | None, *, accept_changes: bool, **held_out: Any
) -> Data:
    """What ``load`` gives by a run's settings: of a new run with ``held_out``, of one that is continued as its
    ``split.csv`` says; with ``--cache-images`` decoded.

    Args:
        run: folder of the run that is continued; None: a new one.
        accept_changes: go on although the images are others than when it began.

    Raises:
        DatasetError: besides those of ``load``, images that have changed; see ``run_split.continued``.
    """
    screening = screening_for(config, run=run, anew=accept_changes)
    if has_split(run):
        data = load(config.dataset, config.data_dir, screening=screening)
        data = continued(data, config.data_dir, run, accept=accept_changes)
    else:
        data = load(config.dataset, config.data_dir, screening=screening, **held_out)
    return with_kept_images(data, config)
