"""What in a user's own images spoils a training or its figures, for a run's first lines and verify_dataset.py."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dml.data.classification.structure import ClassificationData
from dml.data.copies import same_image_in
from dml.data.known_classes import EveryImageData, KnownClassesData
from dml.data.layout import DatasetWarning
from dml.data.own_images import counted, some
from dml.data.records import ImageRecords, RetrievalData
from dml.data.run_split.table import JUDGING
from dml.data.unlabelled import UnlabelledData
from dml.positives import ids_or_own, num_positives

Own = RetrievalData | ClassificationData | UnlabelledData | EveryImageData
_NAMED = 3  # images that a line names


@dataclass(frozen=True)
class _Part:
    """A split: what it is called, its images, and (N,) numbers that images of equal content share over all splits."""

    name: str
    records: ImageRecords
    numbers: np.ndarray


def findings(data: Own, *, copies_answer: bool = False) -> list[str]:
    """One line for each kind of fault: images of two labels, in training and test, listed twice or copied; queries that
    nothing can answer; classes without a test image. [] of sound data.

    Files are compared byte by byte (see :func:`dml.data.copies.same_image`), whatever their names and classes.

    Args:
        copies_answer: whether a query can be answered by a copy of itself.
    """
    if isinstance(data, RetrievalData):
        return _of_retrieval(data, copies_answer)
    if isinstance(data, ClassificationData):
        return [*_of_copies(_parts(data)), *_without_test(data)]
    return _of_copies(_parts(data))


def warn_of_findings(data: Own, *, copies_answer: bool = False) -> None:
    """Say each of the :func:`findings`.

    Warns:
        DatasetWarning: there are some.
    """
    for line in findings(data, copies_answer=copies_answer):
        warnings.warn(line, DatasetWarning)


def _of_retrieval(data: RetrievalData, copies_answer: bool) -> list[str]:
    parts = _parts(data)
    lines = _of_copies(parts)
    query, gallery = parts[1], None
    if isinstance(data, KnownClassesData):
        gallery = parts[0]
    elif data.gallery is not None:
        gallery = parts[2]
        both = np.isin(query.numbers, gallery.numbers)
        lines += _counted(both, query, "is in the gallery too", "are in the gallery too", like=gallery)
    lines += _unanswered(query, gallery, copies_answer)
    if data.val is not None:
        lines += _unanswered(parts[-1], parts[0] if isinstance(data, KnownClassesData) else None, copies_answer)
    return lines


def _parts(data: Own) -> list[_Part]:
    """The splits, what is trained on first, held-out images last."""
    names = {"train": "" if isinstance(data, UnlabelledData) else "training"}
    names |= {split: split for split in JUDGING} | {"val": "validation"}
    parts, numbers = data.parts, same_image_in(data)
    return [_Part(name, parts[split], numbers[split]) for split, name in names.items() if split in parts]


def _of_copies(parts: Sequence[_Part]) -> list[str]:
    """What is wrong with images of equal content; the first part is what is trained on."""
    lines = _two_labels(parts)
    for part in parts[1:]:
        shared = np.isin(part.numbers, parts[0].numbers)
        lines += _counted(shared, part, "is a training image too", "are training images too", like=parts[0])
    for part in parts:
        lines += _repeated(part)
    return lines


def _two_labels(parts: Sequence[_Part]) -> list[str]:
    paths = [path for part in parts for path in part.records.paths]
    numbers = np.concatenate([part.numbers for part in parts])
    names = sorted({name for part in parts for name in part.records.class_names})
    labels = np.concatenate([np.searchsorted(names, p.records.class_names)[p.records.labels] for p in parts])
    pairs, first = np.unique(numbers * len(names) + labels, return_index=True)  # an image and a label of it
    images, counts = np.unique(pairs // len(names), return_counts=True)
    doubtful = images[counts > 1]
    if not len(doubtful):
        return []
    shown = []
    for image in doubtful[:_NAMED]:
        labels_of: dict[str, list[str]] = {}  # of the image's files
        for row in first[pairs // len(names) == image]:
            labels_of.setdefault(paths[row], []).append(names[labels[row]])
        shown.append(" and ".join(f"{path} is {' and '.join(found)}" for path, found in labels_of.items()))
    count = counted(len(doubtful), "image has", "images have")
    return [f"{count} several labels ({_examples(shown, len(doubtful))})"]


def _repeated(part: _Part) -> list[str]:
    """Images of ``part`` that it has already: by the same file, or by a copy of it."""
    _, first, inverse = np.unique(part.numbers, return_index=True, return_inverse=True)
    original = first[inverse]
    again = np.flatnonzero(original != np.arange(len(original)))
    paths = part.records.paths
    same = np.zeros(len(original), dtype=bool)
    same[again] = [os.path.realpath(paths[i]) == os.path.realpath(paths[original[i]]) for i in again]
    copies = (original != np.arange(len(original))) & ~same
    return [
        *_counted(same, part, "is listed twice", "are listed twice or more"),
        *_counted(
            copies, part, "is a copy of another, byte for byte", "are copies of others, byte for byte", like=part
        ),
    ]


def _counted(mask: np.ndarray, part: _Part, one: str, several: str, *, like: _Part | None = None) -> list[str]:
    """How many images of ``part`` are in ``mask``, with examples, each with the image of ``like`` that it is."""
    rows = np.flatnonzero(mask)
    if not len(rows):
        return []
    kind = {"": "image", "query": "query"}.get(part.name, f"{part.name} image")
    kinds = "queries" if kind == "query" else f"{kind}s"
    shown = []
    for row in rows[:_NAMED]:
        path = part.records.paths[row]
        twin = None if like is None else like.records.paths[np.flatnonzero(like.numbers == part.numbers[row])[0]]
        shown.append(path if twin in (None, path) else f"{path} = {twin}")
    what = one if len(rows) == 1 else several
    return [f"{len(rows):,} of {counted(len(mask), kind, kinds)} {what} ({_examples(shown, len(rows))})"]


def _examples(shown: Sequence[str], number: int) -> str:
    return "; ".join(shown) + ("; …" if number > len(shown) else "")


def _unanswered(query: _Part, gallery: _Part | None, copies_answer: bool) -> list[str]:
    sides = (query, query if gallery is None else gallery)
    labels = [torch.from_numpy(side.records.labels) for side in sides]
    numbers = tuple(torch.from_numpy(side.numbers) for side in sides)
    # Where copies answer, every listing is an image of its own.
    ids = ids_or_own(None if copies_answer else numbers, len(query.numbers), own_gallery=gallery is None)
    mask = (num_positives(*labels, ids) == 0).numpy()
    if not mask.any():
        return []
    queries = "queries" if gallery is not None else f"{query.name} images"
    why = "there is no other image of their classes to find"
    if mask.all():
        return [
            f"none of the {len(mask):,} {queries} can be answered, so that figures say nothing: {why}. Give classes of"
            " two images or more"
        ]
    names = [query.records.class_names[label] for label in np.unique(query.records.labels[mask])]
    return [f"{mask.sum():,} of {len(mask):,} {queries} cannot be answered: {why} ({some(names)})"]


def _without_test(data: ClassificationData) -> list[str]:
    counts = data.test.class_counts()
    missing = [name for name, count in zip(data.test.class_names, counts, strict=True) if not count]
    if not missing:
        return []
    return [f"{len(missing):,} of {len(counts):,} classes have no test image ({some(missing)})"]
