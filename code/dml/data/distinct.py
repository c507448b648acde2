"""Random numbers that are distinct within each of many rows."""

from __future__ import annotations

import numpy as np


def distinct_in_rows(rng: np.random.Generator, rows: int, number: int, bound: int) -> np.ndarray:
    """(rows, number) int64 of 0..bound−1, distinct within a row, uniform, in random order.

    Floyd's algorithm (Bentley and Floyd, 1987) on all rows at once: unlike a permutation per row it never holds
    rows × bound numbers, and takes rows·number² steps. The i-th draw is from 0..last; one that the row has already
    becomes ``last``, which no earlier draw could be.
    """
    chosen = np.empty((rows, number), dtype=np.int64)
    for i, last in enumerate(range(bound - number, bound)):
        draw = rng.integers(last, size=rows, endpoint=True)
        taken = (chosen[:, :i] == draw[:, None]).any(axis=1)
        chosen[:, i] = np.where(taken, last, draw)
    return rng.permuted(chosen, axis=1)  # large numbers come late
