"""Classes of the training half held out for model selection."""

from __future__ import annotations

import dataclasses

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import RetrievalData

MIN_CLASSES = 2  # of either side: retrieval among one class is always right


def hold_out(
    data: RetrievalData, *, val_split: float | None = None, fold: tuple[int, int] | None = None, seed: int = 0
) -> RetrievalData:
    """``data`` with some training classes moved to ``val``.

    Args:
        val_split: share of the training classes to hold out, 0 < share < 1, rounded to whole classes.
        fold: (i, k): the training classes are shuffled and cut into k folds, the i-th (from 1) is held out.
        seed: of the choice of classes.

    Raises:
        DatasetError: if both or neither are given, one is out of range, ``data`` has a validation split
            already, or either side would keep fewer than two classes.
    """
    if (val_split is None) == (fold is None):
        raise DatasetError("give either --val-split or --fold, not both")
    if data.val is not None:
        raise DatasetError(f"{data.name} brings its own validation split: leave out --val-split and --fold")
    num_classes = data.train.num_classes
    shuffled = np.random.default_rng(seed).permutation(num_classes)
    if fold is not None:
        index, count = fold
        if not 1 <= index <= count or count < 2:
            raise DatasetError(f"--fold {index}/{count}: give i/k with k of at least 2 and i from 1 to k")
        held = np.array_split(shuffled, count)[index - 1]
    else:
        if not 0 < val_split < 1:
            raise DatasetError(f"--val-split {val_split}: give a share between 0 and 1")
        held = shuffled[: round(val_split * num_classes)]
    if not MIN_CLASSES <= len(held) <= num_classes - MIN_CLASSES:
        raise DatasetError(
            f"holding out {len(held)} of {num_classes} training classes leaves fewer than {MIN_CLASSES} on "
            f"one side: choose another --val-split or --fold"
        )
    is_held = np.isin(data.train.labels, held)
    return dataclasses.replace(
        data,
        train=data.train.select(np.flatnonzero(~is_held)),
        val=data.train.select(np.flatnonzero(is_held)),
    )
