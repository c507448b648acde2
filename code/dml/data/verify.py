"""Checking that a dataset is whole."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from dml.data import DATASETS, DatasetSpec, SplitSize
from dml.data.checks import (
    MAX_MISSING,
    Data,
    Report,
    load_with_warnings,
    named,
    paths_of,
    splits_of,
)
from dml.data.classification import CLASSIFICATION_DATASETS
from dml.data.copies import same_image
from dml.data.loading import size_differences
from dml.data.readable import fault_of, in_threads
from dml.data.verify_own import verify_own
from dml.errors import UserError
from dml.registry import Registry

EVERY_DATASET: Registry[DatasetSpec] = Registry(
    "dataset",
    # Both kinds have a "folder"; see dml.data.verify_own.
    {**DATASETS, **{name: spec for name, spec in CLASSIFICATION_DATASETS.items() if name not in DATASETS}},
    DATASETS.aliases | CLASSIFICATION_DATASETS.aliases,
)


def verify(name: str, data_dir: Path, *, open_images: bool = False, move_unreadable: Path | None = None) -> Report:
    """Check layout, number of classes and images, that every listed file is there, and count copies.

    A user's own images (``folder``) are looked at more closely, see :func:`dml.data.verify_own.verify_own`. What a
    loader warns of counts as a problem.

    Takes two looks at the file system per image, and reads the beginnings of files of equal size; with ``open_images``
    every image is decoded as well.

    Args:
        move_unreadable: of ``folder``, where unreadable files are moved to, which are looked for then; None: nowhere.

    Raises:
        UnknownNameError: if there is no such dataset.
        UserError: a place or a data set that nothing is moved to or from.
    """
    spec = EVERY_DATASET[name]
    if spec.name == "folder":
        return verify_own(data_dir, open_images=open_images, move_unreadable=move_unreadable)
    if move_unreadable is not None:
        raise UserError(f"--move-unreadable is for your own images (folder), not for {spec.name}")
    data, problems = load_with_warnings(spec.load, data_dir)
    if data is None:
        return Report([], problems)
    summary = [f"{spec.name}, {split}: {SplitSize(r.num_classes, len(r))}" for split, r in splits_of(data)]
    summary += _copies(spec.name, data)
    problems += size_differences(spec, data)
    paths = paths_of(data)
    missing = [path for path, there in zip(paths, in_threads(os.path.isfile, paths, "files"), strict=True) if not there]
    problems += named("listed but missing", missing, MAX_MISSING)
    if open_images:
        there = sorted(set(paths) - set(missing))
        faults = in_threads(partial(fault_of, whole=True), there, "images")
        unreadable = [f"cannot read image {path}: {fault}" for path, fault in zip(there, faults, strict=True) if fault]
        problems += named("unreadable", unreadable)
    return Report(summary, problems)


def _copies(name: str, data: Data) -> list[str]:
    """How many images are copies of others in any split; no problem, since official sets hold some."""
    numbers = np.concatenate(same_image(*(records for _, records in splits_of(data))))
    copies = len(numbers) - len(np.unique(numbers))
    return [f"{name}: {copies:,} of {len(numbers):,} images are copies of others, byte for byte"] if copies else []
