"""Samplers by their invariants, and the plan's way to the loader."""

from __future__ import annotations

import numpy as np
import pytest

from dml.data import class_members
from dml.data.samplers import (
    SAMPLERS,
    BalancedSampler,
    ClassBalancedBatchSampler,
    ClassRandomSampler,
    FeatureSampler,
    FullRandomSampler,
    PowerBalancedSampler,
    RandomSampler,
)

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(12), np.arange(3, 15)))  # 102 images, 3..14 a class
BATCH = 20
FEATURES = np.random.default_rng(1).standard_normal((len(LABELS), 6))


def make(name: str, seed: int = 0, batch_size: int = BATCH):
    extra = {} if name in ("random", "full_random", "power_balanced") else {"images_per_class": 4}
    sampler = SAMPLERS[name](LABELS, batch_size=batch_size, seed=seed, **extra)
    if isinstance(sampler, FeatureSampler):
        sampler.set_features(FEATURES)
    return sampler


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_plans_are_a_function_of_seed_and_epoch(name):
    plan = make(name).plan(3)
    assert plan.dtype == np.int64
    assert plan.shape == (len(LABELS) // BATCH, BATCH)
    assert plan.min() >= 0
    assert plan.max() < len(LABELS)
    np.testing.assert_array_equal(plan, make(name).plan(3))
    assert (plan != make(name).plan(4)).any()
    assert (plan != make(name, seed=1).plan(3)).any()


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_image_is_reached(name):
    sampler = make(name)
    seen = {index for epoch in range(60) for index in sampler.plan(epoch).ravel()}
    assert len(seen) == len(LABELS)


@pytest.mark.parametrize("batch_size", [BATCH, 22])  # 22: not a multiple of the images of a class
@pytest.mark.parametrize("name", list(SAMPLERS))
def test_the_size_of_a_batch_is_known_without_a_plan(name, batch_size):
    sampler = make(name, batch_size=batch_size)
    assert sampler.plan(0).shape[1] == sampler.images_per_batch


def test_random_takes_no_image_twice():
    plan = RandomSampler(LABELS, batch_size=BATCH).plan(0)
    assert len(np.unique(plan)) == plan.size


def test_full_random_is_uniform_over_classes_with_a_pair_in_each_batch():
    sampler = FullRandomSampler(LABELS, batch_size=3)
    drawn = LABELS[np.concatenate([sampler.plan(epoch) for epoch in range(200)])]
    assert ((drawn[:, :2] == drawn[:, 2:]).any(axis=1)).all()
    np.testing.assert_allclose(np.bincount(drawn[:, :2].ravel()) / (2 * len(drawn)), 1 / 12, atol=0.01)
    assert abs((drawn[:, 0] == drawn[:, 2]).mean() - (1 / 2 + 1 / 24)) < 0.02
    with pytest.raises(ValueError, match="--batch-size must be at least 2"):
        FullRandomSampler(LABELS, batch_size=1)


def test_class_balanced_groups_distinct_classes():
    sampler = ClassBalancedBatchSampler(LABELS, batch_size=22, images_per_class=4)
    for batch in sampler.plan(0):
        groups = LABELS[batch].reshape(5, 4)
        assert (groups == groups[:, :1]).all()
        assert len(np.unique(groups[:, 0])) == 5


def test_a_plan_is_drawn_in_pieces_of_one_table(monkeypatch):
    """The classes are those of the smallest of one table of numbers, however many of its rows are held at once."""
    sampler = ClassBalancedBatchSampler(LABELS, batch_size=22, images_per_class=4, seed=3)
    rng = np.random.default_rng([3, 1])
    chosen = np.argpartition(rng.random((sampler.num_batches, 12)), 4, axis=1)[:, :5]
    expected = rng.permuted(chosen, axis=1)
    for most in (1, 30, 10**6):
        monkeypatch.setattr(class_members, "_DRAWS_AT_ONCE", most)
        assert np.array_equal(LABELS[sampler.plan(1)[:, ::4]], expected)


@pytest.mark.parametrize("most", [0, 2**26])
def test_classes_are_uniform_under_class_balance(most, monkeypatch):
    """Where a table would be large Floyd's algorithm draws the classes."""
    monkeypatch.setattr(class_members, "_MOST_DRAWS", most)
    sampler = ClassBalancedBatchSampler(LABELS, batch_size=BATCH, images_per_class=4)
    drawn = np.concatenate([LABELS[sampler.plan(epoch)[:, ::4]].ravel() for epoch in range(400)])
    shares = np.bincount(drawn) / len(drawn)
    assert np.abs(shares - 1 / 12).max() < 5 * np.sqrt(1 / 12 / len(drawn))
    assert all(len(set(LABELS[batch[::4]])) == len(batch[::4]) for batch in sampler.plan(0))


def test_balanced_stream_is_cut_into_whole_batches():
    plan = BalancedSampler(LABELS, batch_size=22, images_per_class=4).plan(0)
    assert plan.shape == (4 * 20 // 22, 22)  # four groups of 20 images


@pytest.mark.parametrize("power", [0.0, 0.2, 1.0])
def test_power_balanced_probabilities(power):
    sampler = PowerBalancedSampler(LABELS, batch_size=BATCH, power=power)
    counts = np.bincount(LABELS)
    np.testing.assert_allclose(sampler.probabilities, counts**power / (counts**power).sum())


def test_labels_need_not_be_contiguous():
    sampler = ClassBalancedBatchSampler(LABELS * 7 + 3, batch_size=BATCH, images_per_class=4)
    assert sampler.plan(0).shape == (5, BATCH)


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_fewer_images_than_a_batch(name):
    with pytest.raises(ValueError, match="--batch-size 102 or less"):
        make(name, batch_size=103)


def test_class_random_draws_groups_with_replacement():
    sampler = ClassRandomSampler(LABELS, batch_size=BATCH, images_per_class=4)
    plans = np.concatenate([sampler.plan(epoch) for epoch in range(400)])
    groups = LABELS[plans].reshape(len(plans), 5, 4)
    assert (groups == groups[..., :1]).all()
    classes = groups[..., 0]
    repeats = np.mean([len(np.unique(row)) < 5 for row in classes])
    assert abs(repeats - (1 - 12 * 11 * 10 * 9 * 8 / 12**5)) < 5 * np.sqrt(0.25 / len(plans))
    shares = np.bincount(classes.ravel()) / classes.size
    assert np.abs(shares - 1 / 12).max() < 5 * np.sqrt(1 / 12 / classes.size)


@pytest.mark.parametrize("name", ["class_random", "greedy_coreset"])
def test_a_class_larger_than_a_batch(name):
    with pytest.raises(ValueError, match="--batch-size 3 has no room for the 4 images"):
        make(name, batch_size=3)


@pytest.mark.parametrize("kind", [ClassBalancedBatchSampler, BalancedSampler])
def test_more_classes_than_there_are(kind):
    with pytest.raises(ValueError, match="--IPC 1 asks for 20 classes per batch; the training set has 12"):
        kind(LABELS, batch_size=BATCH, images_per_class=1)


def test_sop_sized_plan_is_quick():
    """60,000 images, 11,318 classes: planned in seconds by vectorised draws."""
    labels = np.random.default_rng(1).integers(0, 11318, 60000)
    assert BalancedSampler(labels, batch_size=150, images_per_class=2).plan(0).shape == (400, 150)
