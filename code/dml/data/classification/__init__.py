"""The classification data sets by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dml.config import DataConfig
from dml.data.classification import cifar, folders
from dml.data.classification.splits import hold_out_images
from dml.data.classification.structure import ClassificationData
from dml.data.layout import DatasetError, registry_of
from dml.data.loading import data_of_run, load_whole
from dml.data.screening import Screening

__all__ = [
    "CLASSIFICATION_DATASETS",
    "ClassificationData",
    "classification_from_config",
    "load_classification",
]

_SPECS = (cifar.CIFAR10, cifar.CIFAR100, folders.IMAGENET, folders.FOLDER)

CLASSIFICATION_DATASETS = registry_of("classification dataset", _SPECS)


def classification_from_config(
    config: DataConfig, *, seed: int, run: Path | None = None, accept_changes: bool = False
) -> ClassificationData:
    """The splits that a run's settings describe; see ``load_classification``.

    Args:
        run: folder of the run that is continued, whose ``split.csv`` then says what the splits are; None: a new one.
        accept_changes: go on although the images are others than when it began.

    Raises:
        DatasetError: besides those of ``load_classification``, images that have changed; see ``run_split.continued``.
    """
    how = {"val_split": config.val_split, "seed": seed}
    return data_of_run(load_classification, config, run, accept_changes=accept_changes, **how)


def load_classification(
    name: str,
    data_dir: str | Path,
    *,
    val_split: float | None = None,
    seed: int = 0,
    screening: Screening | None = None,
) -> ClassificationData:
    """The splits of the data set ``name`` found in or below ``data_dir``.

    Args:
        val_split: share of the training images of each class to hold out for model selection; None: none.
        seed: of that choice.
        screening: how a user's own images (``folder``) are checked; None: no file is opened.

    Raises:
        UnknownNameError: if there is no such data set.
        DatasetNotFoundError: if it is not there; the message says where it looked and what fetches it.
        DatasetError: if its files are wrong or the split is impossible.

    Warns:
        DatasetWarning: for each split whose size is not the official one.
    """
    data = load_whole(CLASSIFICATION_DATASETS[name], data_dir, screening)
    if val_split is None:
        return data
    if data.val is not None:
        raise DatasetError(f"{name} brings its own validation split: leave out --val-split")
    train, val = hold_out_images(data.train, val_split, seed=seed, flag="--val-split")
    return replace(data, train=train, val=val)
