"""Classes, or images of each class, of the training half held out for model selection."""

from __future__ import annotations

import dataclasses

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import RetrievalData

MIN_CLASSES = 2  # of either side: retrieval among one class is always right


def hold_out(
    data: RetrievalData,
    *,
    val_split: float | None = None,
    by_images: bool = False,
    fold: tuple[int, int] | None = None,
    seed: int = 0,
) -> RetrievalData:
    """``data`` with some training classes, or some images of every training class, moved to ``val``.

    NOTE: the published LSD code holds out the last classes (on SOP of each super-class), and of images those between
    evenly spaced ones (CUB), random ones (Cars) or the last (SOP); here the seed draws either.

    Args:
        val_split: share of the training classes to hold out, 0 < share < 1, rounded to whole classes.
        by_images: hold out that share of each class's images instead, rounded to whole images, never all. Training
            and validation share their classes then: such a split says little about classes never seen.
        fold: (i, k): the training classes are shuffled and cut into k folds, the i-th (from 1) is held out.
        seed: of the choice.

    Raises:
        DatasetError: if both or neither of share and fold are given, one is out of range, ``data`` has a validation
            split already, or either side would keep fewer than two classes.
    """
    if (val_split is None) == (fold is None):
        raise DatasetError("give either --val-split or --fold, not both")
    if by_images and fold is not None:
        raise DatasetError("--val-by-images goes with --val-split; --fold is of classes")
    if data.val is not None:
        raise DatasetError(f"{data.name} brings its own validation split: leave out --val-split and --fold")
    if val_split is not None and not 0 < val_split < 1:
        raise DatasetError(f"--val-split {val_split}: give a share between 0 and 1")
    rng = np.random.default_rng(seed)
    if by_images:
        is_held = held_images(data.train.labels, val_split, rng)
    else:
        held = _held_classes(data.train.num_classes, val_split, fold, rng)
        is_held = np.isin(data.train.labels, held)
    # Where held-out images are searched in the training images, both number their classes alike.
    part = data.train.select if len(data.val_searched) == 1 else data.train.take
    train, val = (part(np.flatnonzero(side)) for side in (~is_held, is_held))
    if min(train.num_classes, val.num_classes) < MIN_CLASSES:
        what = f"images of {val.num_classes}" if by_images else f"{val.num_classes}"
        raise DatasetError(
            f"holding out {what} of {data.train.num_classes} training classes leaves fewer than {MIN_CLASSES} on "
            f"one side: choose another --val-split or --fold"
        )
    return dataclasses.replace(data, train=train, val=val)


def _held_classes(
    num_classes: int, val_split: float | None, fold: tuple[int, int] | None, rng: np.random.Generator
) -> np.ndarray:
    shuffled = rng.permutation(num_classes)
    if fold is None:
        return shuffled[: round(val_split * num_classes)]
    index, count = fold
    if not 1 <= index <= count or count < 2:
        raise DatasetError(f"--fold {index}/{count}: give i/k with k of at least 2 and i from 1 to k")
    return np.array_split(shuffled, count)[index - 1]


def held_images(labels: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """(N,) bool: the first round(share · n) images of each class in a random order, always fewer than all n."""
    counts = np.bincount(labels)
    order = np.lexsort((rng.random(len(labels)), labels))
    place = np.empty(len(labels), dtype=np.int64)  # of an image within its class
    place[order] = np.arange(len(labels)) - (np.cumsum(counts) - counts)[labels[order]]
    quota = np.minimum(np.round(share * counts), counts - 1)
    return place < quota[labels]
