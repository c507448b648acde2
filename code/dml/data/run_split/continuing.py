"""A run's own split, over the images as they are now: for a run that is continued, and for what judges its network."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np

from dml.data.layout import DatasetError, DatasetWarning
from dml.data.noise import noisy_labels
from dml.data.records import ImageRecords, LabelNoise, PixelRecords, RetrievalData
from dml.data.run_split.changes import Changes, compare, positions
from dml.data.run_split.table import (
    FILE_NAME,
    JUDGING,
    TRAINING,
    UNUSED,
    SplitData,
    SplitTable,
    read_split,
    split_table,
)
from dml.data.screening import LEFT_OUT_FILE, read_left_out

Data = TypeVar("Data", bound=SplitData)

_SIDES = (("train",), ("val",), JUDGING)
"""A class that is in one of these splits may have images in the others beside it."""


def has_split(run: Path | None) -> bool:
    """Whether there is a run to continue, and its ``split.csv``.

    Warns:
        DatasetWarning: a run with a checkpoint, and without a ``split.csv``, as earlier versions left it.
    """
    if run is None:
        return False
    if not (run / FILE_NAME).is_file() and (run / "last.pt").is_file():
        warnings.warn(
            f"{run} has no {FILE_NAME}: whether its images have changed since it began cannot be checked",
            DatasetWarning,
        )
    return (run / FILE_NAME).is_file()


def trained_without_classes(run: Path) -> bool:
    """Whether the images of the run, which has a ``split.csv``, have no classes and so nothing judges it."""
    return not set(JUDGING) & set(read_split(run / FILE_NAME).splits)


def continued(data: Data, data_dir: str | Path, run: Path, *, accept: bool) -> Data:
    """``data``, as they are now and whole, split and numbered as the run in the folder ``run`` has them.

    With changes that are accepted every class keeps its number, under another name if it was renamed; what is gone is
    left out; a new image joins the split of its class, or the training images if its class has several; what has no
    place in the run is ``unused``.

    Args:
        data_dir: where ``data`` were found.
        accept: whether to go on although they have changed.

    Raises:
        DatasetError: they have changed and ``accept`` is off, naming what; or nothing is left of a split.

    Warns:
        DatasetWarning: they have changed, and what becomes of it.
    """
    recorded, now = read_split(run / FILE_NAME), split_table(data, data_dir)
    changes = compare(recorded, now, by_rule=data.by_rule, passed_over=passed_over(run))
    if changes and not accept:
        raise DatasetError(
            f"{data_dir}: not the images of {run / FILE_NAME}, with which the run began: {changes}. Put them back, or"
            " name the folder where they are with --data-dir, or begin a new run; or go on with what is there by"
            " --accept-changes 1 beside --resume-run: the run keeps its classes and their numbers, what is gone is"
            " left out, new images of its classes are taken in, new classes are not"
        )
    try:
        kept = carry_over(data, recorded, now, changes)
    except DatasetError as error:
        raise DatasetError(f"{data_dir}: {error}: {changes}. The run cannot go on with them: begin a new one") from None
    if changes:
        unused = 0 if kept.unused is None else len(kept.unused)
        aside = f"; {unused} images have no place in the run and are left out" if unused else ""
        warnings.warn(
            f"{data_dir}: since the run began: {changes}{aside}. It goes on with what is there: later figures are of"
            " other images than earlier ones",
            DatasetWarning,
        )
    return kept


def passed_over(run: Path) -> set[str]:
    """The paths of the images that the run leaves out because they cannot be read: those of its ``left_out.csv``."""
    file = run / LEFT_OUT_FILE
    return {left_out.path for left_out in read_left_out(file)} if file.is_file() else set()


def carry_over(
    data: Data,
    recorded: SplitTable,
    now: SplitTable,
    changes: Changes,
    *,
    needed: Collection[str] = (*TRAINING, *JUDGING),
    take_new: bool = False,
    recorded_names: bool = False,
) -> Data:
    """``data``, whose table is ``now``, split and numbered as ``recorded``; see ``continued``.

    Args:
        needed: recorded splits of which some image must be left.
        take_new: judge by images of new classes, too, unless the data say that they are to train.
        recorded_names: let renamed classes have their recorded names.

    Raises:
        DatasetError: nothing is left of a split.
    """
    members: dict[str, list[int]] = {split: [] for split in dict.fromkeys(recorded.splits) if split != UNUSED}
    for row in np.flatnonzero(recorded.is_used & (changes.places >= 0)).tolist():
        members[recorded.splits[row]].append(int(changes.places[row]))
    joining = _joining(recorded, now, changes, by_rule=data.by_rule, take_new=take_new)
    for place, split in joining.items():
        members[split].append(place)
    parts: dict[str, ImageRecords] = {}
    pool = _Pool(data)
    shown = {new: old for old, new in changes.renamed.items()} if recorded_names else {}
    for alike in data.NUMBERINGS:
        classes = {split: [now.classes[place] for place in members[split]] for split in alike if split in members}
        for split in set(classes) & set(needed):
            _require_some(split, classes[split], at_least=1 if "train" in alike else 2)
        names = _numbered(recorded, alike, set().union(*classes.values()), changes)
        number = {name: label for label, name in enumerate(names)}
        for split, of_images in classes.items():
            labels = np.array([number[name] for name in of_images], np.int64)
            parts[split] = pool.take(members[split], labels, [shown.get(name, name) for name in names])
    aside = [place for place in changes.strangers.tolist() if place not in joining]
    aside += changes.places[~recorded.is_used & (changes.places >= 0)].tolist()
    return data.with_parts(parts, pool.named([now.classes[place] for place in aside], aside) if aside else None)


def _require_some(split: str, classes: Sequence[str], at_least: int) -> None:
    """DatasetError unless images of ``at_least`` classes are left; of one class retrieval is always right."""
    found = len(set(classes))
    if found < at_least:
        left = f"{found} class(es)" if at_least > 1 else "no image"
        raise DatasetError(f"{left} of the run's split {split!r} left" + f", {at_least} are needed" * (at_least > 1))


def _joining(
    recorded: SplitTable, now: SplitTable, changes: Changes, *, by_rule: bool, take_new: bool
) -> dict[int, str]:
    """Row of ``now`` → the split that it joins, for those strangers that have a place in the run.

    No image that the run has trained on joins those that judge it, whatever class or split it is in now.
    """
    splits_of: dict[str, set[str]] = defaultdict(set)
    for name, split in zip(recorded.classes, recorded.splits, strict=True):
        if split != UNUSED:
            splits_of[changes.today(name)].add(split)
    val_by_seed = "val" in recorded.splits and "val" not in now.splits
    trained = {path for path, split in zip(recorded.paths, recorded.splits, strict=True) if split in TRAINING}
    joining = {}
    for place in changes.strangers.tolist():
        own, said = splits_of[now.classes[place]], now.splits[place]
        if by_rule:
            split = _split_by_class(own, "test" if take_new else UNUSED)
        elif val_by_seed and said == "train":
            split = _split_by_class(own & set(TRAINING), UNUSED)
        elif own & set(next(side for side in _SIDES if said in side)) or (take_new and not own and said in JUDGING):
            split = said
        else:
            split = UNUSED
        if split in recorded.splits and split != UNUSED and not (split in JUDGING and now.paths[place] in trained):
            joining[place] = split
    return joining


def _split_by_class(own: Collection[str], of_new: str) -> str:
    """The split that an image joins of a class with images in the splits ``own``; ``of_new``: that of a new class."""
    if len(own) > 1:
        return "train" if "train" in own else UNUSED
    return next(iter(own), of_new)


def _numbered(recorded: SplitTable, alike: Sequence[str], there: Collection[str], changes: Changes) -> list[str]:
    """The classes' names of today by their numbers, of the splits ``alike``, which hold the classes ``there``.

    Classes that train keep their recorded numbers, the others their order; new ones follow.
    """
    rows = zip(recorded.labels.tolist(), recorded.classes, recorded.splits, strict=True)
    numbers = {changes.today(name): label for label, name, split in rows if split in alike}
    if "train" in alike and sorted(numbers.values()) != list(range(len(numbers))):
        raise DatasetError(f"{FILE_NAME} is damaged: its training classes are not numbered from 0 on")
    names = sorted(numbers, key=numbers.__getitem__) + sorted(set(there) - set(numbers))
    return names if "train" in alike else [name for name in names if name in there]


class _Pool:
    """All images of ``data``, split by split, as the rows of its table."""

    def __init__(self, data: Data):
        parts = list(data.parts.values())
        self.example = parts[0]
        self.paths = [path for records in parts for path in records.paths]
        pixels = [records.pixels for records in parts if isinstance(records, PixelRecords)]
        self.pixels = np.concatenate(pixels) if pixels else None

    def take(self, places: Sequence[int], labels: np.ndarray, names: Sequence[str]) -> ImageRecords:
        """The images at ``places``, in that order."""
        pixels = {} if self.pixels is None else {"pixels": self.pixels[np.array(places, np.int64)]}
        paths = tuple(self.paths[place] for place in places)
        return replace(self.example, paths=paths, labels=labels, class_names=tuple(names), **pixels)

    def named(self, classes: Sequence[str], places: Sequence[int]) -> ImageRecords:
        """The same, of the given classes."""
        names, labels = np.unique(np.asarray(classes), return_inverse=True)
        return self.take(places, labels.astype(np.int64).reshape(-1), list(map(str, names)))


def carried_over_noise(
    data: RetrievalData, tables: Sequence[SplitTable], *, ratio: float, kind: str, seed: int
) -> RetrievalData:
    """``data`` with the wrong labels that the run began with, on those of its images that are left.

    Args:
        tables: the run's, from its first to that of ``data``.
        ratio, kind, seed: see ``dml.data.noise.noisy_labels``.
    """
    first = tables[0]
    labels = first.labels[first.rows_of("train")]
    noisy, places = noisy_labels(labels, data.train.num_classes, ratio=ratio, kind=kind, seed=seed)
    wrong = noisy[places]
    for earlier, later in pairwise(tables):
        places = positions(earlier, later)[places]
        places, wrong = places[places >= 0], wrong[places >= 0]
    order = np.argsort(places)
    places, wrong = places[order], wrong[order]
    labels = data.train.labels.copy()
    noise = LabelNoise(places, wrong, labels[places])
    labels[places] = wrong
    return replace(data, train=replace(data.train, labels=labels), label_noise=noise)
