"""Checking that a dataset is whole."""

from __future__ import annotations

import os
import warnings
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
    DatasetWarning,
    ImageRecords,
    RetrievalData,
    SplitSize,
    size_differences,
)
from dml.data.classification import CLASSIFICATION_DATASETS, ClassificationData, ClassificationSpec
from dml.data.images import UnreadableImageError, read_image
from dml.data.own_table import lists_in
from dml.data.records import PixelRecords
from dml.data.unlabelled import UnlabelledData, is_unlabelled, load_unlabelled
from dml.registry import Registry

Data = RetrievalData | ClassificationData | UnlabelledData
Loader = Callable[[Path], Data]

EVERY_DATASET: Registry[DatasetSpec | ClassificationSpec] = Registry(
    "dataset",
    # Both kinds have a "folder"; see _loaders.
    {**DATASETS, **{name: spec for name, spec in CLASSIFICATION_DATASETS.items() if name not in DATASETS}},
    DATASETS.aliases | CLASSIFICATION_DATASETS.aliases,
)
SPLITS = ("train", "val", "query", "gallery", "test")
MAX_MISSING = 10  # missing files that the report names; of the unreadable ones it names all


@dataclass(frozen=True)
class Report:
    """What was found: a summary, and what is wrong (empty: nothing)."""

    summary: list[str]
    problems: list[str]


def verify(name: str, data_dir: Path, *, open_images: bool = False) -> Report:
    """Check layout, number of classes and images, and that every listed file is there.

    A user's own images are checked as retrieval reads them, or as a classifier does if only that can, or as images
    without classes where they lie directly in the folder. What a loader warns of counts as a problem.

    Takes one look at the file system per image; with ``open_images`` every image is decoded as well.

    Raises:
        UnknownNameError: if there is no such dataset.
    """
    spec = EVERY_DATASET[name]
    data, problems = _read(_loaders(spec, data_dir), data_dir)
    if data is None:
        return Report([], problems)
    summary = _summary(spec, data)
    problems += size_differences(spec, data)
    paths = _paths(data)
    missing = [path for path, there in zip(paths, _map(os.path.isfile, paths, "files"), strict=True) if not there]
    problems += _named("listed but missing", missing, MAX_MISSING)
    if open_images:
        there = sorted(set(paths) - set(missing))
        broken = [fault for fault in _map(_fault_of, there, "images") if fault]
        problems += _named("unreadable", broken)
    return Report(summary, problems)


def _loaders(spec: DatasetSpec | ClassificationSpec, data_dir: Path) -> list[Loader]:
    """What may read the data set, in the order to be tried."""
    if spec.name != "folder" or data_dir.is_file() or lists_in(data_dir):
        return [spec.load]
    if is_unlabelled(data_dir):
        return [load_unlabelled]
    return [spec.load, CLASSIFICATION_DATASETS["folder"].load]


def _read(loaders: list[Loader], data_dir: Path) -> tuple[Data | None, list[str]]:
    """What the first of ``loaders`` that can reads, and its warnings; if none can, None and what the first one says."""
    said: list[str] = []
    for load in loaders:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DatasetWarning)
            try:
                data, problems = load(data_dir), []
            except (DatasetNotFoundError, DatasetError) as error:
                data, problems = None, [str(error)]
        problems += [str(warning.message) for warning in caught if issubclass(warning.category, DatasetWarning)]
        if data is not None:
            return data, problems
        said = said or problems
    return None, said


def _summary(spec: DatasetSpec | ClassificationSpec, data: Data) -> list[str]:
    """What was read, one line for each split."""
    if isinstance(data, UnlabelledData):
        return [f"{data.name}, without classes (images lie directly in it): {len(data.train):,} images"]
    only_classified = isinstance(spec, DatasetSpec) and isinstance(data, ClassificationData)
    name = f"{spec.name}, to be classified" if only_classified else spec.name
    return [f"{name}, {split}: {SplitSize(records.num_classes, len(records))}" for split, records in _splits(data)]


def _splits(data: Data) -> list[tuple[str, ImageRecords]]:
    return [(split, records) for split in SPLITS if (records := getattr(data, split, None)) is not None]


def _paths(data: Data) -> list[str]:
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


def _named(what: str, faults: list[str], at_most: int | None = None) -> list[str]:
    """One problem that names its first ``at_most`` (None: all) faults, one in a line; [] without any."""
    if not faults:
        return []
    named = faults[:at_most]
    more = [f"and {len(faults) - len(named):,} more"] if len(faults) > len(named) else []
    return ["\n  ".join([f"{len(faults):,} {what}:", *named, *more])]
