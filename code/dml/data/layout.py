"""What the loaders share: finding a dataset's folder, reading lists and class folders, halving classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dml.data.formats import image_suffixes
from dml.data.records import ImageRecords, RetrievalData


class DatasetError(ValueError):
    """A dataset whose files are there but wrong; the message names the file."""


class DatasetNotFoundError(FileNotFoundError):
    """A dataset that is in none of its places; the message lists them and says how to get it."""


class DatasetWarning(UserWarning):
    """A dataset that can be used but is not the official one."""


@dataclass(frozen=True)
class SplitSize:
    """How many classes and images a split has."""

    classes: int
    images: int

    def __str__(self) -> str:
        return f"{self.classes:,} classes, {self.images:,} images"


@dataclass(frozen=True)
class DatasetSpec:
    """What the registry knows of a dataset.

    Attributes:
        name: its name here.
        load: data folder → splits; of a user's own images also how they are checked. Raises DatasetNotFoundError or
            DatasetError.
        recall_ks: the k of recall@k that are published for it.
        official: published size of each split ("train", "query", "gallery"); empty if there is none.
        fetch: how to get it, a command or a sentence.
        aliases: other spellings of the name.
    """

    name: str
    load: Callable[..., RetrievalData]
    recall_ks: tuple[int, ...]
    official: Mapping[str, SplitSize]
    fetch: str
    aliases: tuple[str, ...] = ()


def fetch_command(name: str) -> str:
    """The command that gets the dataset ``name``, or says how to."""
    return f"python scripts/download_dataset.py {name}"


def find_root(
    name: str, data_dir: Path, folders: Iterable[str], is_root: Callable[[Path], bool], expected: str
) -> Path:
    """The first of ``data_dir/<folder>``, then ``data_dir`` itself, for which ``is_root`` holds.

    Args:
        name: the dataset.
        folders: names of the dataset's folder in its known layouts.
        is_root: says whether a folder holds the dataset.
        expected: in words, what ``is_root`` looks for.

    Raises:
        DatasetNotFoundError: if there is none.
    """
    places = [*(data_dir / folder for folder in folders), data_dir]
    for place in places:
        if is_root(place):
            return place
    looked = "\n".join(f"  {place}" for place in places)
    raise DatasetNotFoundError(
        f"dataset {name!r} not found: no {expected} in\n{looked}\n"
        f"Give its folder, or the folder above it, with --data-dir, or fetch it: {fetch_command(name)}"
    )


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files (``._*`` of macOS archives too) are none."""
    return not name.startswith(".") and name.lower().endswith(image_suffixes())


def class_folders(root: Path) -> list[str]:
    """Sorted names of the folders in ``root``, hidden ones and archive litter left out; [] if no folder."""
    if not root.is_dir():
        return []
    with os.scandir(root) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith((".", "__MACOSX")))


def read_class_folders(root: Path) -> ImageRecords:
    """The images of ``root/<class>/``, at any depth below it, classes and files in sorted order.

    Files that are no images by their name are skipped, classes without an image too. Takes one directory
    listing per folder; no file is opened.
    """
    paths: list[str] = []
    classes: list[str] = []
    for name in class_folders(root):
        files = images_below(root / name)
        paths += files
        classes += [name] * len(files)
    return ImageRecords.from_classes(paths, classes)


def images_below(folder: Path) -> list[str]:
    """Paths of the images in ``folder`` and below it, hidden files and folders left out.

    Sorted by name within a folder, whose own images come before those of its subfolders.
    """
    return [f"{directory}/{name}" for directory, files in files_below(folder) for name in files if is_image(name)]


def files_below(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """``folder`` and each folder below it, hidden ones left out, with the sorted names of the files in it."""
    for directory, subfolders, files in os.walk(folder):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        yield directory, sorted(files)


def split_classes(records: ImageRecords, num_train: int | None = None) -> tuple[ImageRecords, ImageRecords]:
    """The images of the first ``num_train`` classes (None: half, rounded down) and those of the rest."""
    num_train = records.num_classes // 2 if num_train is None else num_train
    first = records.labels < num_train
    return records.select(np.flatnonzero(first)), records.select(np.flatnonzero(~first))


def require_classes(records: ImageRecords, where: str | os.PathLike[str], needed: int = 2) -> None:
    """Raise DatasetError unless ``records``, read from ``where``, have at least ``needed`` classes."""
    if not len(records):
        raise DatasetError(f"no images in {where}: expected one folder per class with images inside")
    if records.num_classes < needed:
        raise DatasetError(
            f"{records.num_classes} class(es) in {where}: at least {needed} are needed "
            f"(found: {', '.join(records.class_names)})"
        )


def read_table(path: Path, num_columns: int, num_skipped: int = 0) -> np.ndarray:
    """The blank-separated words of a text file as an array of str, (rows, num_columns).

    Args:
        num_skipped: words at the beginning that are no data (header).

    Raises:
        DatasetError: if the words do not fill the rows.
    """
    words = path.read_text(encoding="utf-8").split()[num_skipped:]
    if not words or len(words) % num_columns:
        raise DatasetError(f"{path} is damaged: {len(words)} words do not make rows of {num_columns}. Unpack it again")
    return np.array(words).reshape(-1, num_columns)


def table_numbers(column: np.ndarray, path: Path) -> np.ndarray:
    """A column of :func:`read_table` as int64.

    Raises:
        DatasetError: if an entry is no whole number; the message names ``path``.
    """
    try:
        return column.astype(np.int64)
    except ValueError as error:
        raise DatasetError(f"{path} is damaged: {error}") from error


def join_paths(folder: Path, names: Iterable[str]) -> list[str]:
    """``folder/name`` for each of the relative ``names``."""
    prefix = f"{folder}/"
    return [prefix + name for name in names]
