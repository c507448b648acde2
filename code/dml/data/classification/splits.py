"""Images of every class held out."""

from __future__ import annotations

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import ImageRecords
from dml.data.splits import held_images


def hold_out_images(records: ImageRecords, share: float, *, seed: int, flag: str) -> tuple[ImageRecords, ImageRecords]:
    """``records`` without, and only with, ``share`` of the images of each class, rounded, never all of them.

    Args:
        share: 0 < share < 1.
        seed: of the choice.
        flag: what error messages say of the share.

    Raises:
        DatasetError: a share out of range, or classes so small that no image would be held out.
    """
    if not 0 < share < 1:
        raise DatasetError(f"{flag} {share}: give a share between 0 and 1")
    is_held = held_images(records.labels, share, np.random.default_rng(seed))
    if not is_held.any():
        raise DatasetError(f"{flag} {share}: none of the {records.num_classes} classes has images enough for that")
    return records.take(np.flatnonzero(~is_held)), records.take(np.flatnonzero(is_held))
