"""The rows of ``split.csv``: made from loaded data, written, read, summed up in a digest."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from dml.data.glyphs import IMAGE_SIZE
from dml.data.layout import DatasetError
from dml.data.records import ImageRecords, PixelRecords
from dml.places import from_home

FILE_NAME = "split.csv"
COLUMNS = ("path", "label", "class", "split", "size")
TRAINING = ("train", "val")
JUDGING = ("test", "query", "gallery")
UNUSED = "unused"
"""The split of images that came, or changed sides, when a run was under way, and have no place in it."""

MISSING = -1  # the size of a file that is not there
# Glyphs are rendered where they are used, and the same pixels take another number of bytes with another zlib.
_RENDERED = {"glyphs": IMAGE_SIZE**2}
_THREADS, _PIECE = 8, 1024  # file systems over a network answer several at once


class SplitData(Protocol):
    """What every kind of loaded data has, as far as its split goes; see ``RetrievalData``."""

    NUMBERINGS: ClassVar[tuple[tuple[str, ...], ...]]
    name: str
    by_rule: bool
    unused: ImageRecords | None

    @property
    def parts(self) -> dict[str, ImageRecords]: ...

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: ImageRecords | None) -> SplitData: ...


@dataclass(frozen=True, eq=False)
class SplitTable:
    """N images in the order in which a run numbers them, split by split.

    Attributes:
        paths: N paths relative to the data, with slashes. An empty one stands for a training class that no image is
            left of, so that it keeps its number.
        labels: (N,) int64 number of the class within its split, or within all splits that number them alike.
        classes: N class names.
        splits: N of train, val, test, query, gallery and unused.
        sizes: (N,) int64 bytes of the file, or of the pixels that are in memory; −1: no such file.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    splits: tuple[str, ...]
    sizes: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def is_used(self) -> np.ndarray:
        """(N,) bool: which rows are images that are trained on or judged by."""
        pairs = zip(self.paths, self.splits, strict=True)
        return np.array([path != "" and split != UNUSED for path, split in pairs], dtype=bool)

    def take(self, rows: np.ndarray) -> SplitTable:
        """The table of ``rows``, in that order."""
        paths, classes, splits = (
            tuple(column[row] for row in rows) for column in (self.paths, self.classes, self.splits)
        )
        return SplitTable(paths, self.labels[rows], classes, splits, self.sizes[rows])

    def judged_in(self, splits: Sequence[str]) -> SplitTable:
        """The table with its judging classes in ``splits``, all in each, and none of their images."""
        kept = self.take(np.flatnonzero([split not in JUDGING for split in self.splits]))
        rows = [(label, name, split) for split in splits for label, name in enumerate(self.classes_of(JUDGING))]
        labels, classes, names = zip(*rows, strict=True)
        return SplitTable(
            kept.paths + ("",) * len(rows),
            np.concatenate([kept.labels, np.array(labels, np.int64)]),
            kept.classes + classes,
            kept.splits + names,
            np.concatenate([kept.sizes, np.zeros(len(rows), np.int64)]),
        )

    def to_csv(self) -> bytes:
        """The content of ``split.csv``."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = (self.paths, self.labels.tolist(), self.classes, self.splits, self.sizes.tolist())
        writer.writerows(zip(*rows, strict=True))
        return file.getvalue().encode("utf-8", "surrogateescape")

    @property
    def digest(self) -> str:
        """SHA-256 of ``to_csv``."""
        return hashlib.sha256(self.to_csv()).hexdigest()

    @property
    def data_digest(self) -> str:
        """SHA-256 of the images, whatever their order and number, and however training images are held out."""
        rows = sorted(
            f"{'train' if split in TRAINING else split}\0{path}\0{name}\0{size}\n"
            for path, name, split, size in zip(self.paths, self.classes, self.splits, self.sizes.tolist(), strict=True)
            if path and split != UNUSED
        )
        return hashlib.sha256("".join(rows).encode("utf-8", "surrogateescape")).hexdigest()

    def classes_of(self, splits: Sequence[str]) -> list[str]:
        """The names of the classes of ``splits``, each once, by their numbers."""
        rows = zip(self.labels.tolist(), self.classes, self.splits, strict=True)
        numbered = {(label, name) for label, name, split in rows if split in splits}
        return list(dict.fromkeys(name for _, name in sorted(numbered)))

    def rows_of(self, split: str) -> np.ndarray:
        """The rows of the images of ``split``, in their order; those without a path are none."""
        pairs = zip(self.paths, self.splits, strict=True)
        return np.flatnonzero([path != "" and name == split for path, name in pairs])


def split_table(data: SplitData, data_dir: str | Path) -> SplitTable:
    """The table of ``data``, found in or below ``data_dir``.

    Paths start from a user's own folder, or from that of their CSV file; those of a named data set from the deepest
    folder that holds all its images, wherever that is: equal data have equal tables on every machine.

    One look at the file system per image: a third of a second for the 120,000 of SOP on a local disk.
    """
    parts = data.parts | ({} if data.unused is None else {UNUSED: data.unused})
    root = _root_of(data, from_home(data_dir))
    columns: tuple[list, ...] = ([], [], [], [], [])
    for split, records in parts.items():
        labels = [-1] * len(records) if split == UNUSED else records.labels.tolist()
        names = [records.class_names[label] for label in records.labels.tolist()]
        rows = (_relative(records, root), labels, names, [split] * len(records), _sizes_of(records, data.name))
        for column, values in zip(columns, (*map(list, rows),), strict=True):
            column += values
    for label, name in _without_images(data):
        for column, value in zip(columns, ("", label, name, "train", 0), strict=True):
            column.append(value)
    paths, labels, classes, splits, sizes = columns
    return SplitTable(
        tuple(paths), np.array(labels, np.int64), tuple(classes), tuple(splits), np.array(sizes, np.int64)
    )


def _without_images(data: SplitData) -> list[tuple[int, str]]:
    """Number and name of the training classes that no image is left of."""
    parts = data.parts
    alike = next(splits for splits in data.NUMBERINGS if "train" in splits)
    counts = sum(parts[split].class_counts() for split in alike if split in parts)
    return [(int(label), parts["train"].class_names[label]) for label in np.flatnonzero(counts == 0)]


def _root_of(data: SplitData, data_dir: Path) -> str:
    """The folder that paths are relative to, without a slash at its end."""
    if data.name == "folder":
        return str(data_dir.parent if data_dir.is_file() else data_dir)
    paths = [path for records in data.parts.values() for path in records.paths if not isinstance(records, PixelRecords)]
    if not paths:
        return ""
    return os.path.commonpath([Path(path).parent for path in (min(paths), max(paths))])


def _relative(records: ImageRecords, root: str) -> list[str]:
    if isinstance(records, PixelRecords):
        return list(records.paths)
    prefix = root + os.sep
    relative = [
        path[len(prefix) :] if path.startswith((prefix, root + "/")) else os.path.relpath(path, root)
        for path in records.paths
    ]
    return relative if os.sep == "/" else [path.replace(os.sep, "/") for path in relative]


def _sizes_of(records: ImageRecords, name: str) -> list[int]:
    if isinstance(records, PixelRecords):
        return [int(np.prod(records.pixels.shape[1:]))] * len(records)
    if name in _RENDERED:
        return [_RENDERED[name]] * len(records)
    pieces = [records.paths[start : start + _PIECE] for start in range(0, len(records), _PIECE)]
    with ThreadPoolExecutor(_THREADS) as pool:
        return [size for sizes in pool.map(_look_at, pieces) for size in sizes]


def _look_at(paths: Sequence[str]) -> list[int]:
    return [_size_of(path) for path in paths]


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a third of the time of a Path)
    except OSError:
        return MISSING


def read_split(file: Path) -> SplitTable:
    """The table in ``file``. DatasetError if it is none, naming the line; FileNotFoundError."""
    columns: tuple[list[str], ...] = ([], [], [], [], [])
    try:
        with file.open(newline="", encoding="utf-8", errors="surrogateescape") as stream:
            rows = csv.reader(stream)
            if tuple(next(rows, ())) != COLUMNS:
                raise DatasetError(f"{file} is damaged: its first line is not {','.join(COLUMNS)}")
            for row in rows:
                if len(row) != len(COLUMNS):
                    raise DatasetError(f"{file}, line {rows.line_num}: damaged, {len(row)} columns")
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        paths, labels, classes, splits, sizes = columns
        numbers = np.array(labels, np.int64), np.array(sizes, np.int64)
    except (csv.Error, ValueError, OverflowError) as error:
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"{file} is damaged: {error}") from error
    return SplitTable(tuple(paths), numbers[0], tuple(classes), tuple(splits), numbers[1])


def earlier_files(run: Path) -> list[Path]:
    """``split_1.csv``, ``split_2.csv`` … of a run whose data changed, the oldest first."""
    files = []
    while (file := earlier_file(run, len(files) + 1)).is_file():
        files.append(file)
    return files


def earlier_file(run: Path, number: int) -> Path:
    """Where the ``number``-th split of a run is kept, counted from 1, once another one has taken its place."""
    return run / f"split_{number}.csv"


def table_with_digest(run: Path, digest: str) -> SplitTable | None:
    """The run's table of that digest, today's or an earlier one; None: there is none."""
    for file in (run / FILE_NAME, *reversed(earlier_files(run))):
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest:
            return read_split(file)
    return None


def data_digest_of_run(run: Path) -> str | None:
    """The digest of all data that a run has seen; None without a ``split.csv``.

    It is ``data_digest`` of the run's table. Of a run that went on with other images it is a digest of both, so that
    it equals neither that of a run over the first images nor that of one over the second.
    """
    if not (run / FILE_NAME).is_file():
        return None
    digests = [_data_digest(file) for file in (*earlier_files(run), run / FILE_NAME)]
    seen = [digest for place, digest in enumerate(digests) if place == 0 or digest != digests[place - 1]]
    return seen[0] if len(seen) == 1 else hashlib.sha256("\n".join(seen).encode()).hexdigest()


_known: dict[str, str] = {}
"""Digest of a file → data digest, for the many runs over the same images that a report reads."""


def _data_digest(file: Path) -> str:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest not in _known:
        _known[digest] = read_split(file).data_digest
    return _known[digest]
