"""What the loaders share: finding a dataset's folder, reading lists and class folders, halving classes."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dml.config import DataConfig
from dml.data.formats import image_suffixes
from dml.data.records import ImageRecords
from dml.errors import UserError
from dml.registry import Registry


class DatasetError(UserError):
    """A dataset whose files are there but wrong; the message names the file."""


class DatasetNotFoundError(UserError, FileNotFoundError):
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


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """What a registry knows of a data set.

    Attributes:
        name: its name here.
        load: data folder → splits; of a user's own images also how they are checked. Raises DatasetNotFoundError or
            DatasetError.
        official: published size of each split ("train", "query", "gallery"; "test" of a classification); empty if
            there is none.
        fetch: how to get it, a command or a sentence.
        aliases: other spellings of the name.
        recall_ks: the k of recall@k that are published for it; none of a classification.
    """

    name: str
    load: Callable[..., Any]
    official: Mapping[str, SplitSize]
    fetch: str
    aliases: tuple[str, ...] = ()
    recall_ks: tuple[int, ...] = ()


def registry_of(kind: str, specs: Sequence[DatasetSpec]) -> Registry[DatasetSpec]:
    """The data sets by name, and by their other spellings; ``kind`` is what messages call them."""
    aliases = {alias: spec.name for spec in specs for alias in spec.aliases}
    return Registry(kind, {spec.name: spec for spec in specs}, aliases)


def fetch_command(name: str, data_dir: Path | None = None) -> str:
    """The command that gets the dataset ``name``, or says how to, into ``data_dir`` (None: where it is by default)."""
    return f"python scripts/download_dataset.py {name}{data_dir_flag(data_dir)}"


def data_dir_flag(data_dir: Path | None) -> str:
    """`` --data-dir FOLDER`` for a command that is printed, quoted for a shell; nothing where it is the default."""
    is_default = data_dir is None or data_dir.absolute() == Path(DataConfig.data_dir)
    return "" if is_default else f" --data-dir {shlex.quote(str(data_dir))}"


def require_folder(data_dir: Path) -> None:
    """Raise DatasetError if ``data_dir``, or what would be a folder above it, is a file."""
    there = next((place for place in (data_dir, *data_dir.parents) if place.exists()), None)
    if there is not None and not there.is_dir():
        which = "" if there == data_dir else f": {there}"
        raise DatasetError(f"--data-dir {data_dir}{which} is a file; give the folder with the data set, or above it")


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
        DatasetError: if ``data_dir`` is a file.
        DatasetNotFoundError: if there is none.
    """
    require_folder(data_dir)
    places = [*(data_dir / folder for folder in folders), data_dir]
    for place in places:
        if is_root(place):
            return place
    looked = "\n".join(f"  {place}" for place in places)
    raise DatasetNotFoundError(
        f"dataset {name!r} not found: no {expected} in\n{looked}\n"
        f"Give its folder, or the folder above it, with --data-dir, or fetch it: {fetch_command(name, data_dir)}"
    )


def is_image(name: str) -> bool:
    """Whether a file's name is that of an image; hidden files (``._*`` of macOS archives too) are none."""
    return not name.startswith(".") and name.lower().endswith(image_suffixes())


def class_folders(root: Path) -> list[str]:
    """Sorted names of the folders in ``root``, hidden ones, archive litter and links to ``root`` or a folder above it
    left out; [] if no folder."""
    if not root.is_dir():
        return []
    above = _itself_and_above(root)
    with os.scandir(root) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir()
            and not entry.name.startswith((".", "__MACOSX"))
            and not (entry.is_symlink() and os.path.realpath(entry.path) in above)
        )


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


def files_below(folder: Path, *, on_error: Callable[[OSError], None] | None = None) -> Iterator[tuple[str, list[str]]]:
    """``folder`` and each folder below it, hidden ones left out, with the sorted names of the files in it.

    Linked folders are followed. Each folder is visited once, by whichever way comes first, a real one before a link;
    a link to ``folder`` or to one above it would go round in a circle and is left out.

    Args:
        on_error: is told of folders that cannot be opened; None: they are passed over.
    """
    seen = _itself_and_above(folder)
    for directory, subfolders, files in os.walk(folder, onerror=on_error, followlinks=True):
        visible = [name for name in subfolders if not name.startswith(".")]
        subfolders[:] = sorted(_not_seen(directory, visible, seen))
        yield directory, sorted(files)


def _itself_and_above(folder: Path) -> set[str]:
    real = Path(os.path.realpath(folder))
    return {str(real), *map(str, real.parents)}


def _not_seen(directory: str, names: list[str], seen: set[str]) -> Iterator[str]:
    """Those of the folders ``names`` in ``directory`` whose real places are new; these join ``seen``."""
    folders = [Path(directory, name) for name in names]
    for folder in sorted(folders, key=lambda folder: (folder.is_symlink(), folder.name)):
        real = os.path.realpath(folder)
        if real not in seen:
            seen.add(real)
            yield folder.name


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
        DatasetError: if it is not text in UTF-8, or the words do not fill the rows.
    """
    try:
        words = path.read_text(encoding="utf-8-sig").split()[num_skipped:]
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path} is damaged: it is not text in UTF-8 (byte {error.start}: {error.reason}). Unpack it again"
        ) from error
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
