"""Checking a user's own images before a training: what is there, what is wrong, and what to run next."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dml.data import DATASETS, ImageRecords, RetrievalData, SplitSize
from dml.data.checks import (
    MAX_MISSING,
    Data,
    Loader,
    Report,
    load_with_warnings,
    named,
    paths_of,
    splits_of,
)
from dml.data.classification import CLASSIFICATION_DATASETS, ClassificationData
from dml.data.copies import same_image
from dml.data.findings import findings
from dml.data.images import UnreadableImageError, read_image
from dml.data.near_duplicates import FINGERPRINT, fingerprint, near_pairs
from dml.data.own_images import counted
from dml.data.own_table import lists_in
from dml.data.readable import in_threads
from dml.data.unlabelled import UnlabelledData, is_unlabelled, load_unlabelled
from dml.errors import UserError

_NAMED = 5  # pairs of near duplicates that a line names
TRAIN = "python code/train.py --dataset folder --data-dir {}"
CLASSIFY = (
    "python code/classify.py --dataset folder --data-dir {} --model resnet18 --pretrained --lr 0.01 --batch-size 64"
    " --epochs 20 --scheduler cosine"
)
SELF_TAUGHT = "python code/train_stml.py --dataset folder --data-dir {}"


@dataclass(frozen=True)
class _Look:
    """What a look into an image file gave: what is wrong with it, or width and height, and the fingerprint."""

    fault: str | None
    size: tuple[int, int] = (0, 0)
    fingerprint: np.ndarray | None = None


@dataclass(frozen=True)
class _Files:
    """What is known of image files.

    Attributes:
        sizes: path → bytes; None: there is no such file.
        looks: path → what a look gave, of the files that are there; empty: nobody looked.
    """

    sizes: dict[str, int | None]
    looks: dict[str, _Look]

    @property
    def unreadable(self) -> list[str]:
        """The files that are no images, empty ones among them."""
        return [path for path, look in self.looks.items() if look.fault]

    def without(self, paths: Sequence[str]) -> _Files:
        """The others."""
        left = self.sizes.keys() - set(paths)
        sizes, looks = ({path: known[path] for path in known if path in left} for known in (self.sizes, self.looks))
        return _Files(sizes, looks)

    def problems(self) -> list[str]:
        """Missing, empty and unreadable files by name."""
        return [
            *named("listed but missing", [path for path, size in self.sizes.items() if size is None], MAX_MISSING),
            *named("empty (0 bytes)", [path for path, size in self.sizes.items() if size == 0]),
            *named("unreadable", [self.looks[path].fault for path in self.unreadable if self.sizes[path]]),
        ]


def verify_own(data_dir: Path, *, open_images: bool, move_unreadable: Path | None = None) -> Report:
    """Check images as retrieval reads them, or as a classifier does if only that can, or as images without classes
    where they lie directly in the folder.

    The summary says how many images the classes have and how large they are. Problems are what loaders warn of, what
    spoils figures (``dml.data.findings``), missing, empty and unreadable files. Near duplicates are noted.

    Args:
        open_images: decode every image, for what is unreadable, sizes and near duplicates.
        move_unreadable: folder that unreadable and empty files are moved to, with their paths; opens every image.

    Raises:
        UserError: ``move_unreadable`` lies in the data folder, or the images are listed in a table.
    """
    if move_unreadable is not None:
        _check_move(data_dir, move_unreadable)
    data, problems, notes = _read(data_dir)
    if data is None:
        return Report([], problems, notes)
    files, summary = _look_into(data, open_images=open_images or move_unreadable is not None), []
    if move_unreadable is not None and (moved := _move(files.unreadable, data_dir, move_unreadable)):
        count = counted(len(moved), "unreadable file", "unreadable files")
        summary.append(f"moved {count} to {move_unreadable}")
        files = files.without(moved)
        data, problems, notes = _read(data_dir)
    problems += files.problems()
    if data is None:
        return Report(summary, problems, notes)
    summary += [line for split, records in splits_of(data) for line in _split_lines(data, split, records)]
    summary += _sides(files.looks)
    spoiling = notes if isinstance(data, UnlabelledData) else problems  # copies spoil no figures where there are none
    spoiling += findings(data)
    problems += _no_pair(data)
    notes += _near_duplicates(data, files.looks)
    return Report(summary, problems, notes, _next_command(data, data_dir))


def _read(data_dir: Path) -> tuple[Data | None, list[str], list[str]]:
    """What the first loader that can reads, its warnings, and why no other could; if none can, None and what the first
    one says."""
    said: list[str] = []
    for load in _loaders(data_dir):
        data, problems = load_with_warnings(load, data_dir)
        if data is not None:
            return data, problems, [f"not for retrieval: {text}" for text in said[:1]]
        said = said or problems
    return None, said, []


def _loaders(data_dir: Path) -> list[Loader]:
    """What may read the images, in the order to be tried."""
    if not data_dir.is_file() and not lists_in(data_dir) and is_unlabelled(data_dir):
        return [load_unlabelled]
    return [DATASETS["folder"].load, CLASSIFICATION_DATASETS["folder"].load]


def _look_into(data: Data, *, open_images: bool) -> _Files:
    paths = sorted(set(paths_of(data)))
    sizes = dict(zip(paths, in_threads(_bytes_of, paths, "files"), strict=True))
    there = [path for path in paths if open_images and sizes[path] is not None]
    looks = in_threads(_look_at, there, "images") if open_images else []
    return _Files(sizes, dict(zip(there, looks, strict=True)))


def _bytes_of(path: str) -> int | None:
    """The size of a file; None if there is none."""
    try:
        return Path(path).stat().st_size if Path(path).is_file() else None
    except OSError:
        return None


def _look_at(path: str) -> _Look:
    try:
        image = read_image(path, upright=True)
    except UnreadableImageError as error:
        return _Look(str(error))
    return _Look(None, image.size, fingerprint(image))


# ---------------------------------------------------------------------- what is there


def _split_lines(data: Data, split: str, records: ImageRecords) -> list[str]:
    if isinstance(data, UnlabelledData):
        return [f"folder, without classes (images lie directly in it): {len(records):,} images"]
    name = "folder, to be classified" if isinstance(data, ClassificationData) else "folder"
    lines = [f"{name}, {split}: {SplitSize(records.num_classes, len(records))}"]
    counts = records.class_counts()
    return [*lines, f"{name}, {split}: images per class: {_spread(counts[counts > 0])}"]


def _spread(numbers: np.ndarray) -> str:
    return f"least {numbers.min():,}, median {np.median(numbers):,.0f}, most {numbers.max():,}"


def _sides(looks: dict[str, _Look]) -> list[str]:
    sides = np.array([look.size for look in looks.values() if look.fault is None])
    return [f"sides in pixels: {_spread(sides)}"] if len(sides) else []


def _no_pair(data: Data) -> list[str]:
    if not isinstance(data, RetrievalData) or data.train.class_counts().max() > 1:
        return []
    return ["no training class has two images: losses of pairs have nothing to learn from, losses of proxies may"]


def _near_duplicates(data: Data, looks: dict[str, _Look]) -> list[str]:
    """Pairs of files that look alike and are no copies, within classes and across them, some by name."""
    where = {
        path: (split, records.class_names[label])
        for split, records in splits_of(data)
        for path, label in zip(records.paths, records.labels, strict=True)
        if path in looks and looks[path].fault is None
    }
    if not where:
        return []
    paths = list(where)
    pairs, complete = near_pairs(np.array([looks[path].fingerprint for path in paths], dtype=FINGERPRINT))
    (numbers,) = same_image(ImageRecords(tuple(paths), np.zeros(len(paths), np.int64), ("",)))
    splits, classes = (np.unique(column, return_inverse=True)[1] for column in zip(*where.values(), strict=True))
    pairs = pairs[numbers[pairs[:, 0]] != numbers[pairs[:, 1]]]
    within = classes[pairs[:, 0]] == classes[pairs[:, 1]]
    lines = []
    for place, chosen in (("within a class", pairs[within]), ("across classes", pairs[~within])):
        if not len(chosen):
            continue
        apart = int((splits[chosen[:, 0]] != splits[chosen[:, 1]]).sum())
        between = f", {apart:,} of them in two splits" if apart else ""
        shown = [f"{paths[a]} ~ {paths[b]}" for a, b in chosen[:_NAMED]] + ["…"] * (len(chosen) > _NAMED)
        number = ("" if complete else "at least ") + counted(
            len(chosen), "pair of images looks", "pairs of images look"
        )
        lines.append(f"{number} alike {place}{between} (near duplicates: {'; '.join(shown)})")
    return lines


def _next_command(data: Data, data_dir: Path) -> str:
    """What to run with these images, with the folder as it was typed."""
    place = shlex.quote(str(data_dir))
    if isinstance(data, UnlabelledData):
        return SELF_TAUGHT.format(place)
    if isinstance(data, ClassificationData):
        return CLASSIFY.format(place)
    if data.gallery is None and set(data.query.class_names) <= set(data.train.class_names):
        return CLASSIFY.format(place)  # no class to find that is not trained on
    return TRAIN.format(place)


# ---------------------------------------------------------------------- moving files away


def _check_move(data_dir: Path, target: Path) -> None:
    """Refuse places and data that nothing is moved to or from. UserError."""
    if data_dir.is_file() or lists_in(data_dir):
        raise UserError(
            "--move-unreadable: the images are listed in a table, which would name files that are gone; take their rows"
            " out of it"
        )
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(data_dir)):
        raise UserError(f"--move-unreadable {target} lies in the data folder {data_dir}: name one outside it")
    if target.exists() and not target.is_dir():
        raise UserError(f"--move-unreadable {target} is no folder")


def _move(paths: Sequence[str], data_dir: Path, target: Path) -> list[str]:
    """Move files of ``data_dir`` to ``target`` under the paths that they have, another name where one is taken.

    Returns:
        what was moved: all but files that lie elsewhere, behind a linked folder.
    """
    root, moved = os.path.realpath(data_dir), []
    for path in map(Path, paths):
        if not Path(os.path.realpath(path.parent)).is_relative_to(root):
            continue
        place = target / path.relative_to(data_dir)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, _free(place))
        moved.append(str(path))
    return moved


def _free(place: Path) -> Path:
    """``place``, or the first of ``name_2.jpg``, ``name_3.jpg``, … where nothing is."""
    free, number = place, 1
    while os.path.lexists(free):
        number += 1
        free = place.with_name(f"{place.stem}_{number}{place.suffix}")
    return free
