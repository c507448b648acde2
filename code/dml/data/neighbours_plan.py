"""Batches of nearest neighbours for training without labels (STML, METHODS §14)."""

from __future__ import annotations

import numpy as np

from dml.data.distinct import distinct_in_rows
from dml.errors import UserError


def neighbour_plan(neighbours: np.ndarray, *, batch_size: int, seed: int, epoch: int) -> np.ndarray:
    """The batches of an epoch: in each, batch_size // K distinct queries drawn uniformly, every query followed
    by its neighbours.

    A function of its arguments alone, like every plan of :mod:`dml.data.samplers`. An image can occur twice in
    a batch, as a neighbour of two queries. Memory grows as N, time as N·(1 + batch_size / K²).

    Args:
        neighbours: (N, K) int64, the nearest images of each image, itself first.
        batch_size: upper bound of images per batch, from K to N.
        seed: plans are a function of it and the epoch.
        epoch: counted from 0.

    Returns:
        (N // batch_size, batch_size // K · K) int64 indices into the data set, grouped by query.

    Raises:
        ValueError: a batch smaller than K, fewer images than one batch, or a malformed ``neighbours``.
    """
    _check_neighbours(neighbours)
    num_images, num_neighbours = neighbours.shape
    if batch_size < num_neighbours:
        raise UserError(
            f"--batch-size {batch_size} is smaller than --num-neighbors {num_neighbours}: a batch holds at least one"
            " image with all its neighbours"
        )
    if num_images < batch_size:
        raise UserError(
            f"the training set has {num_images} images, fewer than one batch: use --batch-size {num_images} or less"
        )
    rng = np.random.default_rng([seed, epoch])
    num_batches = num_images // batch_size
    queries = distinct_in_rows(rng, num_batches, batch_size // num_neighbours, num_images)
    return neighbours[queries].reshape(num_batches, -1)


def _check_neighbours(neighbours: np.ndarray) -> None:
    if neighbours.ndim != 2 or neighbours.dtype != np.int64 or 0 in neighbours.shape:
        raise ValueError(
            f"neighbours must be a non-empty (images, neighbours) int64 array; got {neighbours.shape}"
            f" {neighbours.dtype}"
        )
    if neighbours.min() < 0 or neighbours.max() >= len(neighbours):
        raise ValueError(f"neighbours must hold indices from 0 to {len(neighbours) - 1}")
