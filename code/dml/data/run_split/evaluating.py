"""What judges a network later: the images that its run was judged by, never those that it was trained on."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dml.data.layout import DatasetError, DatasetWarning
from dml.data.run_split.changes import Changes, compare, name_some
from dml.data.run_split.continuing import carry_over, passed_over
from dml.data.run_split.table import JUDGING, TRAINING, SplitData, SplitTable, split_table, table_with_digest
from dml.places import expanded, from_home

Data = TypeVar("Data", bound=SplitData)


@dataclass(frozen=True)
class RunRecord:
    """What a checkpoint says of its run's split.

    Attributes:
        digest: of ``split.csv``.
        data_digest: ``SplitTable.data_digest`` of the same images.
        train_classes: names of the classes that the run trains on or holds out of its training half.
        test_classes: of those that it is judged by; none where the images have no classes.
    """

    digest: str
    data_digest: str
    train_classes: tuple[str, ...]
    test_classes: tuple[str, ...]

    @classmethod
    def of(cls, table: SplitTable) -> RunRecord:
        return cls(
            digest=table.digest,
            data_digest=table.data_digest,
            train_classes=tuple(table.classes_of(TRAINING)),
            test_classes=tuple(table.classes_of(JUDGING)),
        )

    @classmethod
    def read(cls, stored: Any) -> RunRecord | None:
        """From what a checkpoint holds; None where it holds nothing of the kind."""
        try:
            names = [tuple(map(str, stored[key])) for key in ("train_classes", "test_classes")]
            return cls(str(stored["digest"]), str(stored["data_digest"]), *names)
        except (TypeError, KeyError):
            return None

    def stored(self) -> dict[str, Any]:
        """As plain types, for a checkpoint."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @property
    def shares_classes(self) -> bool:
        """Whether images of one class are on both sides."""
        return bool(set(self.train_classes) & set(self.test_classes))

    def classes_alone(self, judging: Iterable[str]) -> SplitTable:
        """A table of no image, which knows the sides of the classes; ``judging`` are the splits of the other side."""
        rows = [(number, name, "train") for number, name in enumerate(self.train_classes)]
        number_of = {name: number for number, name, _ in rows}
        rows += [(number_of.get(name, n), name, split) for split in judging for n, name in enumerate(self.test_classes)]
        labels, names, splits = zip(*rows, strict=True)
        nothing = ("",) * len(rows)
        return SplitTable(nothing, np.array(labels, np.int64), names, splits, np.zeros(len(rows), np.int64))


def judged_as_in_the_run(
    data: Data,
    data_dir: str | Path,
    checkpoint: Path,
    record: RunRecord | None,
    settings: Mapping[str, Any] | None,
    *,
    take_new: bool = False,
    recorded_names: bool = False,
) -> tuple[Data, list[str]]:
    """``data``, as they are now, with the images to judge the network of a checkpoint by, and lines that say what was
    done; named data sets, and networks that were trained on one, are left alone.

    On the run's images its ``split.csv`` decides, found beside the checkpoint, and otherwise the names of its classes;
    these, too, where a test split stands in place of the run's query and gallery, or the other way. Whatever the
    folder, a class of the name of one that was trained on does not judge, unless images of its name did so in the run.
    A folder without any class of the run is split as the loader has it.

    Args:
        data_dir: where ``data`` were found.
        record: of the checkpoint; None: it has none.
        settings: those of its run's data; None: of a published checkpoint.
        take_new: judge by classes that are new since the run, too.
        recorded_names: let renamed classes have their recorded names.

    Raises:
        DatasetError: nothing is left to judge by; or it takes ``split.csv`` to tell which images were trained on, and
            it is not there.
    """
    if data.name != "folder" or settings is None or settings.get("dataset") != "folder":
        return data, []
    if record is None:
        return data, [f"{checkpoint} does not say what it was trained on: some of these images may be among it"]
    own = from_home(data_dir).resolve() == expanded(settings.get("data_dir", "")).resolve()
    if not record.test_classes:
        without = "" if len(record.train_classes) > 1 else ", without their classes"
        return data, [f"the network was trained on every image of this folder{without}"] if own else []
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent
    table, now = table_with_digest(run, record.digest), split_table(data, data_dir)
    if table is None and now.data_digest == record.data_digest:
        return data, []
    if table is None and record.shares_classes and data.by_rule:
        return data, [_untold(data_dir, own)]
    judging = [split for split in JUDGING if split in data.parts]
    recorded = record.classes_alone(judging) if table is None else table
    lines = []
    if not data.by_rule and (others := [split for split in JUDGING if split in recorded.splits]) != judging:
        recorded = table.judged_in(judging)
        lines.append(
            f"{data_dir} is judged by {' and '.join(judging)}, the run was by {' and '.join(others)}: the names of the"
            " classes say which images are evaluated"
        )
    changes = compare(recorded, now, by_rule=data.by_rule, passed_over=passed_over(run))
    finds_images = bool((changes.places[recorded.is_used] >= 0).any())
    if not own and (nothing := _nothing_of_the_run(data, record, now, changes, finds_images)):
        return data, [f"{data_dir} has no {nothing}"]
    is_closed = any({"train", "test"} <= set(alike) for alike in data.NUMBERINGS)
    if is_closed:
        _require_every_class(data_dir, record, now, changes)
    how = {"needed": JUDGING, "take_new": take_new, "recorded_names": recorded_names}
    hint = "" if is_closed else "; --new-classes 1 evaluates new classes, too"
    try:
        judged = carry_over(data, recorded, now, changes, **how)
    except DatasetError as error:
        raise DatasetError(f"{data_dir}: {error} to evaluate: {changes}{hint * bool(changes.classes_new)}") from None
    new = "evaluated, as asked for" if take_new else f"not evaluated{hint}"
    by_images = finds_images and not lines
    return judged, lines + _lines(record, now, changes, by_images=by_images, new=new)


def _nothing_of_the_run(
    data: SplitData, record: RunRecord, now: SplitTable, changes: Changes, finds_images: bool
) -> str:
    """What a folder has nothing of, and how it is evaluated then, in words; empty if it has something."""
    chosen = "its own test split"
    if record.shares_classes and data.by_rule:
        return "" if finds_images else "image of the run; evaluated is a fifth of each class's, by the loader's rule"
    if data.by_rule:
        chosen = "the second half of its classes, by the loader's rule"
    known = {changes.today(name) for name in (*record.train_classes, *record.test_classes)}
    return "" if known & set(now.classes) else f"class of the run; evaluated is {chosen}"


def _require_every_class(data_dir: str | Path, record: RunRecord, now: SplitTable, changes: Changes) -> None:
    """DatasetError unless there are images of every class that a classifier tells apart."""
    missing = [name for name in record.train_classes if changes.today(name) not in now.classes]
    if missing:
        raise DatasetError(
            f"the checkpoint tells {len(record.train_classes)} classes apart, and {data_dir} has no image of"
            f" {len(missing)} of them ({name_some(missing)}): give the data that it was trained on"
        )


def _untold(data_dir: str | Path, own: bool) -> str:
    """What is said where the record's digest alone tells that images have changed, and not which."""
    reason = "the images are not those of the run, whose split.csv is not beside the checkpoint"
    if own:
        raise DatasetError(
            f"{data_dir}: {reason}, so which of them were trained on cannot be told: put it there, or give a folder of"
            " other images"
        )
    return f"{data_dir}: {reason}: whether some of them were trained on cannot be told"


def _lines(record: RunRecord, now: SplitTable, changes: Changes, *, by_images: bool, new: str) -> list[str]:
    """What is said of images that ``changes``; ``new`` is what becomes of new classes."""
    lines = []
    trained = sorted((set(record.train_classes) - set(record.test_classes)) & set(now.classes))
    if by_images and changes:
        lines.append(f"since the run: {changes}")
    elif trained and not by_images:
        count = "1 class was" if len(trained) == 1 else f"{len(trained)} classes were"
        lines.append(f"{count} trained on and not evaluated: {name_some(trained)}")
    if changes.classes_new:
        number = len(changes.classes_new)
        what = "1 class is" if number == 1 else f"{number} classes are"
        lines.append(f"{what} new since the run: {name_some(changes.classes_new)}; {new}")
    return lines


def warn_of_trained_classes(
    data: SplitData, what: str, record: RunRecord | None, settings: Mapping[str, Any] | None
) -> None:
    """Say if a network that a run starts from, or learns from, was trained on classes that are to judge the run.

    Args:
        data: the run's.
        what: the network, for people.
        record, settings: see ``judged_as_in_the_run``.

    Warns:
        DatasetWarning: it was.
    """
    if data.name != "folder" or record is None or (settings or {}).get("dataset") != "folder":
        return
    sides = {split: set(records.class_names) for split, records in data.parts.items()}
    judging = set().union(*(names for split, names in sides.items() if split in JUDGING)) - sides["train"]
    if seen := sorted(judging & set(record.train_classes)):
        count = "1 class" if len(seen) == 1 else f"{len(seen)} classes"
        warnings.warn(
            f"{what} was trained on {count} that this run is judged by ({name_some(seen)}): figures say little about"
            " unseen classes then",
            DatasetWarning,
        )
