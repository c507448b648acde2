"""What the checks of data sets share: their report, and how it is worded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dml.data import DatasetError, DatasetNotFoundError, DatasetWarning, ImageRecords, RetrievalData
from dml.data.classification import ClassificationData
from dml.data.records import PixelRecords
from dml.data.unlabelled import UnlabelledData

Data = RetrievalData | ClassificationData | UnlabelledData
Loader = Callable[[Path], Data]

SPLITS = ("train", "val", "query", "gallery", "test")
MAX_MISSING = 10  # missing files that the report names; of the unreadable ones it names all


@dataclass(frozen=True)
class Report:
    """What was found.

    Attributes:
        summary: what is there.
        problems: what is wrong; empty: nothing.
        notes: what may be meant so.
        next_command: what to run with these images; None: nothing is known.
    """

    summary: list[str]
    problems: list[str]
    notes: list[str] = field(default_factory=list)
    next_command: str | None = None


def load_with_warnings(load: Loader, data_dir: Path) -> tuple[Data | None, list[str]]:
    """What ``load`` reads, or None if it cannot; and its warnings, behind its error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DatasetWarning)
        try:
            data, said = load(data_dir), []
        except (DatasetNotFoundError, DatasetError) as error:
            data, said = None, [str(error)]
    return data, said + [str(w.message) for w in caught if issubclass(w.category, DatasetWarning)]


def splits_of(data: Data) -> list[tuple[str, ImageRecords]]:
    """Name and records of each split that is there."""
    return [(split, records) for split in SPLITS if (records := getattr(data, split, None)) is not None]


def paths_of(data: Data) -> list[str]:
    """The image files; images in memory have been read already."""
    return [path for _, records in splits_of(data) if not isinstance(records, PixelRecords) for path in records.paths]


def named(what: str, faults: Sequence[str], at_most: int | None = None) -> list[str]:
    """One problem that names its first ``at_most`` (None: all) faults, one in a line; [] without any."""
    if not faults:
        return []
    shown = faults[:at_most]
    more = [f"and {len(faults) - len(shown):,} more"] if len(faults) > len(shown) else []
    return ["\n  ".join([f"{len(faults):,} {what}:", *shown, *more])]
