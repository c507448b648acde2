"""A user's own images are checked before they are used: what cannot be read is left out, or stops the run."""

from __future__ import annotations

import csv
import io
import os
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from dml.config import DataConfig, EvaluateConfig
from dml.data.depth import FULL_DEPTH, settled_bits, to_8_bits, white_of
from dml.data.layout import DatasetError, DatasetWarning
from dml.data.own_images import some
from dml.data.own_splits import UNSPLIT
from dml.data.readable import Examined, examine_all
from dml.data.records import ImageRecords, LeftOut
from dml.places import from_home

Splits = TypeVar("Splits")  # a dataclass whose fields hold image records, among others ``left_out``

OWN = "folder"  # the data set of a user's own images
LEFT_OUT_FILE = "left_out.csv"
NEARLY_BLACK = 16  # of 255: an image without a brighter pixel was hardly meant so


@dataclass(frozen=True)
class Screening:
    """How a user's own images are checked. A continued run leaves out what it left out before, and checks nothing.

    Attributes:
        strict: unreadable files are an error, instead of being left out.
        bits: how many bits the numbers of images of more than 8 bits fill; None: as many as hold the largest of them,
            of a continued run 16.
        run: folder of the run that is continued; None: a new one.
        anew: check what a continued run did not leave out again, for files may have been damaged since.
        only: names of the splits that will be read; none: all. Images that are yet to be split are always checked.
    """

    strict: bool = False
    bits: int | None = None
    run: Path | None = None
    anew: bool = False
    only: frozenset[str] = frozenset()

    def __call__(
        self, splits: Mapping[str, ImageRecords], root: Path
    ) -> tuple[dict[str, ImageRecords], tuple[LeftOut, ...]]:
        """The checked splits without the files that cannot be read, classes numbered as before; and those files.

        Costs ``examine_all``.

        Args:
            splits: name → images; ``UNSPLIT`` → images.
            root: the folder that left-out files are named relative to.

        Raises:
            DatasetError: no image of a class or a split can be read; or with ``strict`` any cannot.

        Warns:
            DatasetWarning: files are left out; images of more than 8 bits are taken to have fewer than 16, or are
                nearly black.
        """
        if self.only:
            splits = {name: records for name, records in splits.items() if name in (*self.only, UNSPLIT)}
        recorded, bits = self._recorded(), self.bits
        left_out = recorded or ()
        kept = _without(left_out, splits, root)
        if recorded is None or self.anew:
            found = examine_all(list(dict.fromkeys(path for records in kept.values() for path in records.paths)))
            faults = {path: seen.fault for path, seen in found.items() if seen.fault is not None}
            unreadable = tuple(LeftOut(relative_to(root, path), fault) for path, fault in faults.items())
            self._tell(unreadable, kept, root)
            left_out, kept = (*left_out, *unreadable), _without(unreadable, kept, root)
            if recorded is None:  # else it is as the run has it
                bits = self._settle_bits(found, root)
        for name, records in splits.items():
            _require_classes(_shown(name, splits), records, kept[name], left_out, root)
        return {name: replace(records, bits=bits) for name, records in kept.items()}, left_out

    def _recorded(self) -> tuple[LeftOut, ...] | None:
        """What the continued run left out; None: it is new, or had not begun."""
        if self.run is None:
            return None
        file = self.run / LEFT_OUT_FILE
        if file.exists():
            return read_left_out(file)
        return () if (self.run / "last.pt").exists() else None

    def _tell(self, left_out: Sequence[LeftOut], splits: Mapping[str, ImageRecords], root: Path) -> None:
        if not left_out:
            return
        total = len({path for records in splits.values() for path in records.paths})
        counted = f"{root}: {len(left_out):,} of {total:,} images cannot be read"
        if self.strict:
            raise DatasetError("\n  ".join([f"{counted} (--strict 1):", *_named(left_out)]))
        warnings.warn(f"{counted} and are left out: {some(_named(left_out))}; --strict 1 stops instead", DatasetWarning)

    def _settle_bits(self, found: Mapping[str, Examined], root: Path) -> int | None:
        """How many bits images of more than 8 bits have: as asked, else by the largest number in all of them."""
        peaks = {path: seen.peak for path, seen in found.items() if seen.peak is not None}
        if not peaks:
            return self.bits
        top = max(peaks.values())
        bits = settled_bits(self.bits, peaks.values())
        if self.bits is None and bits < FULL_DEPTH:
            told = f"images of more than 8 bits are read as having {bits}, for no number in them is larger than {top}"
            warnings.warn(f"{root}: {told}; --bits {FULL_DEPTH} reads them as dark as they are", DatasetWarning)
        if top > white_of(bits):
            over = [relative_to(root, path) for path, peak in peaks.items() if peak > white_of(bits)]
            told = f"{len(over):,} images have numbers above {white_of(bits)}, which is white at --bits {bits}"
            warnings.warn(f"{root}: {told}: {some(over)}", DatasetWarning)
        brightest = to_8_bits(np.array(list(peaks.values())), white_of(bits))
        is_dark = (brightest > 0) & (brightest < NEARLY_BLACK)
        dark = [relative_to(root, path) for path, value in zip(peaks, is_dark, strict=True) if value]
        if dark:
            told = f"at {bits} bits {len(dark):,} of {len(peaks):,} images of more than 8 bits are nearly black"
            warnings.warn(f"{root}: {told}: {some(dark)}; convert them to 8 bits", DatasetWarning)
        return bits


def screening_for(
    config: DataConfig | EvaluateConfig, *, run: Path | None = None, anew: bool = False, only: Collection[str] = ()
) -> Screening | None:
    """How the settings have images checked; None: they are not a user's own. Arguments: see ``Screening``."""
    return Screening(config.strict, config.bits, run, anew, frozenset(only)) if config.dataset == OWN else None


def screened(data: Splits, place: str | Path, screening: Screening | None) -> Splits:
    """``data`` with its splits checked, and what was left out in its ``left_out``; see ``Screening``.

    Args:
        place: the folder or the list of the images.
        screening: None: ``data`` as they are.
    """
    if screening is None:
        return data
    place = from_home(place)
    parts = {field.name: getattr(data, field.name) for field in fields(data)}
    splits = {name: part for name, part in parts.items() if isinstance(part, ImageRecords)}
    kept, left_out = screening(splits, place.parent if place.is_file() else place)
    return replace(data, left_out=left_out, **kept)


def relative_to(root: Path, path: str) -> str:
    """``path`` as seen from ``root``, with slashes."""
    prefix = f"{root}{os.sep}"
    relative = path[len(prefix) :] if path.startswith(prefix) else os.path.relpath(path, root)
    return relative.replace(os.sep, "/")


def left_out_table(left_out: Sequence[LeftOut]) -> str:
    """The text of ``left_out.csv``: path,reason."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([LeftOut._fields, *left_out])
    return text.getvalue()


def read_left_out(file: Path) -> tuple[LeftOut, ...]:
    """The inverse of ``left_out_table``.

    Raises:
        DatasetError: it is no such table.
    """
    try:
        # Names of files may be bytes that are no text.
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as lines:
            header, *rows = csv.reader(lines)
            if tuple(header) != LeftOut._fields:
                raise ValueError(f"line 1 is not {','.join(LeftOut._fields)}")
            return tuple(LeftOut(*row) for row in rows)
    except (ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"{file}, which says what the run leaves out, is damaged: {error}") from error


def _without(left_out: Sequence[LeftOut], splits: Mapping[str, ImageRecords], root: Path) -> dict[str, ImageRecords]:
    if not left_out:
        return dict(splits)
    gone = {file.path for file in left_out}
    return {
        name: records.take([i for i, path in enumerate(records.paths) if relative_to(root, path) not in gone])
        for name, records in splits.items()
    }


def _shown(name: str, splits: Mapping[str, ImageRecords]) -> str:
    """What people call a split; "" where there is but one."""
    if len(splits) == 1:
        return ""
    return "test" if name == "query" and "gallery" not in splits else name


def _require_classes(
    name: str, before: ImageRecords, after: ImageRecords, left_out: Sequence[LeftOut], root: Path
) -> None:
    """Raise DatasetError where leaving out took all images of a split or of a class."""
    lost = np.flatnonzero((before.class_counts() > 0) & (after.class_counts() == 0))
    if not len(lost):
        return
    files = {relative_to(root, before.paths[i]) for i in np.flatnonzero(np.isin(before.labels, lost))}
    faults = some(_named([file for file in left_out if file.path in files]))
    if not len(after):
        split = f" of the split {name!r}" if name else ""
        raise DatasetError(f"{root}: none of the {len(before):,} images{split} can be read: {faults}")
    raise DatasetError(
        f"{root}: no image of {len(lost):,} of {before.num_classes:,} classes can be read"
        f" ({some([before.class_names[c] for c in lost])}): mend the files, or remove the classes: {faults}"
    )


def _named(left_out: Sequence[LeftOut]) -> list[str]:
    return [f"{file.path} ({file.reason})" for file in left_out]
