"""The datasets by name."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

from dml.config import DataConfig, NoiseConfig
from dml.data import cars, cub, folder, glyphs, inshop, sop
from dml.data.known_classes import EveryImageData, KnownClassesData
from dml.data.layout import DatasetError, DatasetNotFoundError, DatasetSpec, DatasetWarning, SplitSize, registry_of
from dml.data.loading import data_of_run, load_whole
from dml.data.noise import with_label_noise
from dml.data.records import ImageRecords, RetrievalData
from dml.data.run_split import (
    FILE_NAME,
    carried_over_noise,
    earlier_files,
    read_split,
    split_table,
)
from dml.data.screening import Screening
from dml.data.splits import hold_out
from dml.errors import UserError

__all__ = [
    "DATASETS",
    "DatasetError",
    "DatasetNotFoundError",
    "DatasetSpec",
    "DatasetWarning",
    "EveryImageData",
    "ImageRecords",
    "KnownClassesData",
    "RetrievalData",
    "SplitSize",
    "data_from_config",
    "load_dataset",
]

_SPECS = (cub.SPEC, cars.SPEC, sop.SPEC, inshop.SPEC, glyphs.SPEC, folder.SPEC)

DATASETS = registry_of("dataset", _SPECS)


def data_from_config(
    config: DataConfig,
    *,
    seed: int,
    noise: NoiseConfig | None = None,
    run: Path | None = None,
    accept_changes: bool = False,
) -> RetrievalData | EveryImageData:
    """The splits that a run's settings describe, with wrong training labels if ``noise``; see ``load_dataset``.

    Args:
        run: folder of the run that is continued, whose ``split.csv`` then says what the splits are; None: a new one.
        accept_changes: go on although the images are others than when it began.

    Raises:
        DatasetError: besides those of ``load_dataset``, images that have changed; see ``run_split.continued``.
    """
    held_out = {"val_split": config.val_split, "val_by_images": config.val_by_images, "fold": config.fold_numbers()}
    load = partial(load_dataset, split=config.split)
    data = data_of_run(load, config, run, accept_changes=accept_changes, seed=seed, **held_out)
    if config.split == "images" and not isinstance(data, KnownClassesData):
        raise DatasetError(f"{config.data_dir} says by its splits what is tested: leave out --split images")
    if noise is None:
        return data
    if isinstance(data, EveryImageData):
        raise UserError("--noisy_label shows how wrong labels change figures, and --split all has none: leave one out")
    how = {"ratio": noise.noisy_ratio, "kind": noise.noise_kind, "seed": seed}
    if run is None or not (run / FILE_NAME).is_file():
        return with_label_noise(data, **how)
    tables = [*map(read_split, (*earlier_files(run), run / FILE_NAME)), split_table(data, config.data_dir)]
    return carried_over_noise(data, tables, **how)


def load_dataset(
    name: str,
    data_dir: str | Path,
    *,
    val_split: float | None = None,
    val_by_images: bool = False,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
    screening: Screening | None = None,
    split: str = "classes",
) -> RetrievalData | EveryImageData:
    """The splits of the dataset ``name`` found in or below ``data_dir``.

    Args:
        val_split, val_by_images, fold, seed: hold out training classes or images, see
            :func:`dml.data.splits.hold_out`; without a share and a fold: none.
        screening: how a user's own images (``folder``) are checked; None: no file is opened.
        split: how they are split where they do not say, see ``dml.data.folder``.

    Raises:
        UnknownNameError: if there is no such dataset.
        DatasetNotFoundError: if it is not there; the message says where it looked and what fetches it.
        DatasetError: if its files are wrong or the split is impossible.

    Warns:
        DatasetWarning: for each split whose size is not the official one.
    """
    spec = DATASETS[name]
    data = load_whole(spec, data_dir, screening, **({"split": split} if spec is folder.SPEC else {}))
    if not isinstance(data, EveryImageData | KnownClassesData):
        _warn_of_overlap(data)
    if val_split is None and fold is None:
        return data
    return hold_out(data, val_split=val_split, by_images=val_by_images, fold=fold, seed=seed)


def _warn_of_overlap(data: RetrievalData) -> None:
    """Classes that training and evaluation share; only a user's own split can. Of images see ``dml.data.findings``."""
    for name in ("query", "gallery"):
        records: ImageRecords | None = getattr(data, name)
        if records is None:
            continue
        classes = len(set(data.train.class_names) & set(records.class_names))
        if classes:
            warnings.warn(
                f"{data.name}: training and {name} images share {classes} classes: metrics say little"
                " about unseen classes then",
                DatasetWarning,
                stacklevel=3,
            )
