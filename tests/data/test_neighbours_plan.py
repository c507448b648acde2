"""Batches of nearest neighbours by their invariants."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from dml.data.neighbours_plan import neighbour_plan

NUM_IMAGES, NUM_NEIGHBOURS = 103, 5
# Image i and the next ones: the plan shows its queries.
NEIGHBOURS = (np.arange(NUM_IMAGES)[:, None] + np.arange(NUM_NEIGHBOURS)) % NUM_IMAGES


def plan(*, batch_size: int = 23, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return neighbour_plan(NEIGHBOURS, batch_size=batch_size, seed=seed, epoch=epoch)


def test_plans_are_a_function_of_seed_and_epoch():
    batches = plan(epoch=3)
    assert batches.dtype == np.int64
    np.testing.assert_array_equal(batches, plan(epoch=3))
    assert (batches != plan(epoch=4)).any()
    assert (batches != plan(epoch=3, seed=1)).any()


@pytest.mark.parametrize("batch_size", [NUM_NEIGHBOURS, 23, 100, NUM_IMAGES])
def test_batches_are_distinct_queries_with_their_neighbours(batch_size):
    batches = plan(batch_size=batch_size)
    per_batch = batch_size // NUM_NEIGHBOURS
    assert batches.shape == (NUM_IMAGES // batch_size, per_batch * NUM_NEIGHBOURS)
    groups = batches.reshape(-1, per_batch, NUM_NEIGHBOURS)
    queries = groups[..., 0]
    np.testing.assert_array_equal(groups, NEIGHBOURS[queries])
    assert all(len(np.unique(row)) == per_batch for row in queries)


@pytest.mark.parametrize("position", [0, 10, 19])
def test_queries_are_uniform_at_every_place(position):
    draws = 4000
    queries = [plan(batch_size=100, epoch=epoch)[0, position * NUM_NEIGHBOURS] for epoch in range(draws)]
    counts = np.bincount(queries, minlength=NUM_IMAGES)
    expected = draws / NUM_IMAGES
    chi_square = ((counts - expected) ** 2 / expected).sum()
    degrees = NUM_IMAGES - 1
    assert chi_square < degrees + 5 * np.sqrt(2 * degrees)


def test_all_images_at_once_are_all_queries():
    """One neighbour (the image itself) and one batch of everything leave the draw no choice but the order."""
    own = np.arange(50)[:, None]
    batch = neighbour_plan(own, batch_size=50, seed=0, epoch=0)[0]
    assert sorted(batch) == list(range(50))
    assert (batch != np.arange(50)).any()


def test_planning_never_holds_batches_times_images_numbers():
    neighbours = np.random.default_rng(0).integers(0, 60_000, (60_000, 5))
    tracemalloc.start()
    plan = neighbour_plan(neighbours, batch_size=120, seed=0, epoch=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plan.shape == (500, 120)
    assert peak < 8 * plan.nbytes


@pytest.mark.parametrize(
    ("neighbours", "batch_size", "message"),
    [
        (NEIGHBOURS, 4, r"--batch-size 4 is smaller than --num-neighbors 5"),
        (NEIGHBOURS, 104, r"the training set has 103 images.*--batch-size 103 or less"),
        (NEIGHBOURS[:, 0], 10, r"\(images, neighbours\) int64 array; got \(103,\)"),
        (NEIGHBOURS.astype(np.int32), 10, "int64 array.*int32"),
        (NEIGHBOURS[:, :0], 10, "non-empty"),
        (NEIGHBOURS[:50], 10, "indices from 0 to 49"),
        (NEIGHBOURS - 1, 10, "indices from 0 to 102"),
    ],
)
def test_bad_input(neighbours, batch_size, message):
    with pytest.raises(ValueError, match=message):
        neighbour_plan(neighbours, batch_size=batch_size, seed=0, epoch=0)
