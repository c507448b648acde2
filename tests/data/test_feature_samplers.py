"""Samplers that look at features: what they choose, against plain versions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import pdist
from scipy.stats import wasserstein_distance

from dml.data.batch_matching import distance_histograms, frechet_distances, pairwise_distances
from dml.data.samplers import SAMPLERS

NAMES = ("greedy_coreset", "d2_coreset", "fid_batchmatch", "disthist_batchmatch")
LABELS = np.repeat(np.arange(20), 10)
RNG = np.random.default_rng(0)
CLUSTERED = RNG.standard_normal((20, 8))[LABELS] * 4 + RNG.standard_normal((200, 8)) * 0.1


def make(name: str, features: np.ndarray = CLUSTERED, **options):
    sampler = SAMPLERS[name](LABELS, batch_size=20, images_per_class=2, **options)
    sampler.set_features(features)
    return sampler


def spread(plan: np.ndarray) -> float:
    """Mean over batches of the distance from an image to the nearest group of the batch (each group's first)."""
    nearest = [np.linalg.norm(CLUSTERED[:, None] - CLUSTERED[batch[::2]], axis=2).min(axis=1) for batch in plan]
    return float(np.mean(nearest))


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_of_one_class(name):
    plan = make(name).plan(0)
    assert plan.shape == (10, 20)
    assert (LABELS[plan[:, ::2]] == LABELS[plan[:, 1::2]]).all()


@pytest.mark.parametrize("name", NAMES)
def test_plans_follow_the_features(name):
    assert (make(name).plan(0) != make(name, CLUSTERED[::-1].copy()).plan(0)).any()


@pytest.mark.parametrize("name", ["greedy_coreset", "d2_coreset"])
def test_coresets_cover_more_than_random_classes(name):
    random = SAMPLERS["class_random"](LABELS, batch_size=20, images_per_class=2)
    assert spread(make(name).plan(0)) < 0.95 * spread(random.plan(0))


def test_greedy_takes_the_farthest():
    """Ten of twenty tight clusters, never two from one."""
    for batch in make("greedy_coreset").plan(0):
        assert len(np.unique(LABELS[batch])) == 10


def test_softened_greedy_lies_between():
    plain, softened = (spread(make("greedy_coreset", softened=value).plan(0)) for value in (False, True))
    assert plain < softened


def test_uniform_balance_ignores_the_features():
    repeats = [make("d2_coreset", balance=value).plan(0)[:, ::2] for value in (0.0, 1.0)]
    distinct = [np.mean([len(np.unique(LABELS[row])) for row in plan]) for plan in repeats]
    assert distinct[0] < distinct[1]


@pytest.mark.parametrize("name", NAMES)
def test_images_that_are_all_alike(name):
    assert make(name, np.ones((200, 8))).plan(0).shape == (10, 20)


@pytest.mark.parametrize("name", ["fid_batchmatch", "disthist_batchmatch"])
def test_more_candidates_match_better(name):
    """By the mean distance of pairs, where classes lie at different distances from the origin."""
    features = CLUSTERED * (1 + LABELS % 5)[:, None]
    errors = []
    for candidates in (1, 30):
        sampler = make(name, features, num_candidates=candidates)
        plan = np.concatenate([sampler.plan(epoch) for epoch in range(10)])
        errors.append(np.abs(pairwise_distances(features[plan]).mean(axis=1) - pdist(features).mean()).mean())
    assert errors[1] < 0.8 * errors[0]


def test_frechet_distance_is_that_of_the_matrix_root():
    candidates, reference = RNG.standard_normal((3, 12, 4)), RNG.standard_normal((30, 4)) * 2 + 1
    for ours, sample in zip(frechet_distances(candidates, reference), candidates, strict=True):
        covariances = [np.cov(x, rowvar=False) for x in (sample, reference)]
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
        shift = np.square(sample.mean(0) - reference.mean(0)).sum()
        assert ours == pytest.approx(shift + np.trace(covariances[0] + covariances[1] - 2 * root))


def test_pairwise_distances_and_their_histogram():
    samples = RNG.standard_normal((2, 9, 4))
    distances = pairwise_distances(samples)
    np.testing.assert_allclose(distances, [pdist(sample) for sample in samples])
    shares = distance_histograms(distances, top=8.0)
    np.testing.assert_allclose(shares, [np.histogram(row, bins=50, range=(0, 8))[0] / 36 for row in distances])
    bins = np.arange(50)
    plain = wasserstein_distance(bins, bins, shares[0], shares[1])
    assert np.abs((shares[0] - shares[1]).cumsum()).sum() == pytest.approx(plain)


def test_features_are_normalised_and_projected():
    sampler = make("greedy_coreset", similarity="cosine")
    np.testing.assert_allclose(np.linalg.norm(sampler.features, axis=1), 1, rtol=1e-5)
    wide = RNG.standard_normal((200, 400))
    low = make("greedy_coreset", wide, projection_size=100).features
    assert low.shape == (200, 100)
    assert np.median(pdist(low) / pdist(wide)) == pytest.approx(1, abs=0.05)
    assert make("greedy_coreset", full_precision=True).features.dtype == np.float64


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("greedy_coreset", {"limit": -1.0}, "--data_gc_coreset_lim must be 0 or more"),
        ("d2_coreset", {"balance": 2.0}, "--data_d2_coreset_lambda must lie between 0 and 1"),
        ("fid_batchmatch", {"num_candidates": 0}, "--data_batchmatch_ncomps must be at least 1"),
        ("fid_batchmatch", {"pool_size": 1}, "--data_batchmatch_bigbs must be at least 2"),
        ("d2_coreset", {"projection_size": 0}, "--data_sampler_lowproj_dim must be −1 or at least 1"),
        ("d2_coreset", {"similarity": "dot"}, "--data_sim_measure 'dot' is not one of euclidean, cosine"),
    ],
)
def test_impossible_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


def test_features_must_come_first_and_fit():
    sampler = SAMPLERS["greedy_coreset"](LABELS, batch_size=20, images_per_class=2)
    with pytest.raises(ValueError, match="call set_features before plan"):
        sampler.plan(0)
    with pytest.raises(ValueError, match="200 images need as many rows"):
        sampler.set_features(CLUSTERED[:-1])
