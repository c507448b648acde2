"""Checking that a dataset is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from dml.data import (
    DATASETS,
    DatasetError,
    DatasetNotFoundError,
    DatasetSpec,
    ImageRecords,
    RetrievalData,
    SplitSize,
    size_differences,
)
from dml.data.classification import CLASSIFICATION_DATASETS, ClassificationData, ClassificationSpec
from dml.data.images import UnreadableImageError, read_image
from dml.data.records import PixelRecords
from dml.registry import Registry

EVERY_DATASET: Registry[DatasetSpec | ClassificationSpec] = Registry(
    "dataset",
    # Both kinds have a "folder": a user's own images are checked as for retrieval.
    {**DATASETS, **{name: spec for name, spec in CLASSIFICATION_DATASETS.items() if name not in DATASETS}},
    DATASETS.aliases | CLASSIFICATION_DATASETS.aliases,
)
SPLITS = ("train", "val", "query", "gallery", "test")
MAX_NAMED = 10  # files at fault that the report names


@dataclass(frozen=True)
class Report:
    """What was found: a summary, and what is wrong (empty: nothing)."""

    summary: list[str]
    problems: list[str]


def verify(name: str, data_dir: Path, *, open_images: bool = False) -> Report:
    """Check layout, number of classes and images, and that every listed file is there.

    Takes one look at the file system per image; with ``open_images`` every image is decoded as well.

    Raises:
        UnknownNameError: if there is no such dataset.
    """
    spec = EVERY_DATASET[name]
    try:
        data = spec.load(data_dir)
    except (DatasetNotFoundError, DatasetError) as error:
        return Report([], [str(error)])
    summary = [
        f"{spec.name}, {split}: {SplitSize(records.num_classes, len(records))}" for split, records in _splits(data)
    ]
    problems = size_differences(spec, data)
    paths = _paths(data)
    missing = [path for path, there in zip(paths, _map(os.path.isfile, paths, "files"), strict=True) if not there]
    problems += _named("listed but missing", missing)
    if open_images:
        there = sorted(set(paths) - set(missing))
        broken = [fault for fault in _map(_fault_of, there, "images") if fault]
        problems += _named("unreadable", broken)
    return Report(summary, problems)


def _splits(data: RetrievalData | ClassificationData) -> list[tuple[str, ImageRecords]]:
    return [(split, records) for split in SPLITS if (records := getattr(data, split, None)) is not None]


def _paths(data: RetrievalData | ClassificationData) -> list[str]:
    """The image files; images in memory have been read already."""
    return [path for _, records in _splits(data) if not isinstance(records, PixelRecords) for path in records.paths]


def _map(function: Callable, items: list[str], unit: str) -> list:
    """``[function(item) for item in items]`` in several threads, with a progress bar."""
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        return list(tqdm(pool.map(function, items), total=len(items), unit=f" {unit}"))


def _fault_of(path: str) -> str | None:
    try:
        read_image(path)
    except UnreadableImageError as error:
        return str(error)
    return None


def _named(what: str, faults: list[str]) -> list[str]:
    if not faults:
        return []
    more = f" and {len(faults) - MAX_NAMED:,} more" if len(faults) > MAX_NAMED else ""
    return [f"{len(faults):,} {what}: {', '.join(faults[:MAX_NAMED])}{more}"]
