"""Images of every class held out."""

from __future__ import annotations

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import ImageRecords


def hold_out_images(records: ImageRecords, share: float, *, seed: int, where: str) -> tuple[ImageRecords, ImageRecords]:
    """``records`` without, and only with, ``share`` of the images of each class, at least one.

    Args:
        share: 0 < share < 1.
        seed: of the choice.
        where: what error messages name.

    Raises:
        DatasetError: a share out of range, or a class of which nothing would be left.
    """
    if not 0 < share < 1:
        raise DatasetError(f"--val-split {share}: give a share between 0 and 1")
    counts = records.class_counts()
    held = np.maximum(1, np.round(share * counts)).astype(np.int64)
    if (held >= counts).any():
        name = records.class_names[int((held >= counts).argmax())]
        raise DatasetError(f"{where}: holding out {share:g} of each class leaves no image of {name!r} to learn from")
    shuffled = np.random.default_rng(seed).permutation(len(records))
    by_class = shuffled[np.argsort(records.labels[shuffled], kind="stable")]  # class after class, shuffled within
    first = np.cumsum(counts) - counts
    position = np.arange(len(records)) - np.repeat(first, counts)  # within its class
    is_held = position < np.repeat(held, counts)
    return records.take(np.sort(by_class[~is_held])), records.take(np.sort(by_class[is_held]))
