"""Samplers that look at features: what they choose, against plain versions of their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import multivariate_normal, wasserstein_distance

from dml.data.batch_matching import bin_heights, frechet_distances
from dml.data.class_members import ClassMembers
from dml.data.coreset_samplers import draw_normal, normal_density
from dml.data.samplers import SAMPLERS

CORESETS, MATCHING = ("greedy_coreset", "d2_coreset"), ("fid_batchmatch", "disthist_batchmatch")
NAMES = (*CORESETS, *MATCHING)
LABELS = np.repeat(np.arange(20), 10)
RNG = np.random.default_rng(0)
CLUSTERED = RNG.standard_normal((20, 8))[LABELS] * 4 + RNG.standard_normal((200, 8)) * 0.1


def make(name: str, features: np.ndarray = CLUSTERED, **options):
    sampler = SAMPLERS[name](LABELS, batch_size=20, images_per_class=2, **({"pool_size": 60} | options))
    sampler.set_features(features)
    return sampler


@pytest.mark.parametrize("name", NAMES)
def test_groups_are_of_one_class(name):
    plan = make(name).plan(0)
    assert plan.shape == (10, 20)
    assert (LABELS[plan[:, ::2]] == LABELS[plan[:, 1::2]]).all()


@pytest.mark.parametrize("name", NAMES)
def test_plans_follow_the_features(name):
    assert (make(name).plan(0) != make(name, CLUSTERED[::-1].copy()).plan(0)).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", [{}, {"projection_size": 3}])
def test_images_that_are_all_alike(name, options):
    assert make(name, np.ones((200, 8)), **options).plan(0).shape == (10, 20)


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_as_large_as_the_set_or_larger(name):
    assert make(name, pool_size=1000).plan(0).max() < 200


# Coresets.


@pytest.mark.parametrize("name", CORESETS)
def test_no_image_is_chosen_twice(name):
    assert all(len(set(batch[::2])) == 10 for batch in make(name).plan(0))


def test_greedy_takes_the_farthest():
    """Ten of twenty tight clusters, never two from one."""
    for batch in make("greedy_coreset", pool_size=200).plan(0):
        assert len(np.unique(LABELS[batch])) == 10


def slow_greedy(rng, features, softened):
    """Every step compares all images with all that are chosen."""
    chosen = [int(rng.integers(len(features)))]
    while len(chosen) < 10:
        gaps = np.array([min(np.square(x - features[c]).sum() for c in chosen) for x in features])
        candidates = [i for i, gap in enumerate(gaps) if gap >= (np.percentile(gaps, 97) if softened else gaps.max())]
        chosen.append(int(rng.choice(candidates)) if softened else candidates[0])
    return np.array(chosen)


@pytest.mark.parametrize("softened", [False, True])
def test_greedy_is_the_plain_definition(softened, monkeypatch):
    sampler = make("greedy_coreset", softened=softened)
    ours = sampler.plan(0)
    monkeypatch.setattr(sampler, "_choose", lambda rng, features: slow_greedy(rng, features, softened))
    np.testing.assert_array_equal(ours, sampler.plan(0))


def slow_d2(rng, features, exponent):
    """Every step weighs all images that are left by their density and their distances to all that are chosen."""
    density = multivariate_normal.pdf(features, features.mean(axis=0), np.cov(features.T))
    start = draw_normal(rng, features)
    chosen = [int(np.argmin([np.linalg.norm(x - start) for x in features]))]
    while len(chosen) < 10:
        sums = np.array([sum(np.square(x - features[c]).sum() for c in chosen) for x in features])
        left = np.array([i not in chosen for i in range(len(features))])
        weights = np.where(left, density * sums**exponent, 0)
        chosen.append(int(rng.choice(len(features), p=weights / weights.sum())))
    return np.array(chosen)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_d2_is_the_plain_definition(exponent, monkeypatch):
    sampler = make("d2_coreset", exponent=exponent)
    ours = sampler.plan(0)
    monkeypatch.setattr(sampler, "_choose", lambda rng, features: slow_d2(rng, features, exponent))
    np.testing.assert_array_equal(ours, sampler.plan(0))


def test_normal_density_is_relative_to_the_highest():
    samples = RNG.standard_normal((40, 5)) @ RNG.standard_normal((5, 5)) + 3
    plain = multivariate_normal.pdf(samples, samples.mean(axis=0), np.cov(samples.T))
    np.testing.assert_allclose(normal_density(samples), plain / plain.max())


def test_normal_density_of_a_singular_covariance_is_that_on_the_span():
    samples = RNG.standard_normal((40, 3))
    wide = samples @ RNG.standard_normal((3, 700)) - 1
    np.testing.assert_allclose(normal_density(wide), normal_density(samples))


def test_normal_draws_have_the_mean_and_covariance_of_the_samples():
    samples = RNG.standard_normal((20, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]]) + 5
    draws = np.stack([draw_normal(RNG, samples) for _ in range(4000)])
    np.testing.assert_allclose(draws.mean(axis=0), samples.mean(axis=0), atol=0.15)
    np.testing.assert_allclose(np.cov(draws.T), np.cov(samples.T), rtol=0.15, atol=0.1)


def test_d2_goes_on_where_all_that_is_left_lies_on_the_chosen():
    features = np.zeros((200, 8))
    features[:5] = np.eye(5, 8)
    assert all(len(set(batch[::2])) == 10 for batch in make("d2_coreset", features, pool_size=200).plan(0))


def test_d2_takes_large_distances_to_large_powers():
    plan = make("d2_coreset", CLUSTERED * 1e3, exponent=100.0).plan(0)
    assert all(len(set(batch[::2])) == 10 for batch in plan)


# Matching.


def slow_frechet(pool: np.ndarray, batch: np.ndarray) -> float:
    covariances = [np.cov(x, rowvar=False) for x in (pool, batch)]
    root = scipy.linalg.sqrtm((covariances[0] + 1e-8 * np.eye(8)) @ (covariances[1] + 1e-8 * np.eye(8))).real
    return np.square(pool.mean(0) - batch.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


def slow_histogram_cost(pool: np.ndarray, batch: np.ndarray) -> float:
    def distances(samples):
        return [np.linalg.norm(x - y) for i, x in enumerate(samples) for y in samples[:i]]

    limits = min(distances(pool)), max(distances(pool))
    heights = [np.histogram(distances(x), bins=50, range=limits)[0] for x in (pool, batch)]
    shares = [counts / counts.sum() for counts in heights]
    both_ways = wasserstein_distance(*shares) + wasserstein_distance(*reversed(shares))
    moments = np.linalg.norm(pool.mean(0) - batch.mean(0)) + np.linalg.norm(pool.std(0) - batch.std(0))
    return moments + 75 * both_ways


@pytest.mark.parametrize(
    ("name", "cost"), [("fid_batchmatch", slow_frechet), ("disthist_batchmatch", slow_histogram_cost)]
)
def test_the_candidate_of_least_cost_is_taken(name, cost, monkeypatch):
    sampler = make(name, pool_size=40, num_candidates=4)
    ours = sampler.plan(0)[:3]
    monkeypatch.setattr(sampler, "num_batches", 3)
    monkeypatch.setattr(
        sampler, "_costs", lambda pool, candidates: np.array([cost(pool, pool[places]) for places in candidates])
    )
    np.testing.assert_array_equal(ours, sampler.plan(0))


@pytest.mark.parametrize("name", MATCHING)
def test_more_candidates_match_better(name):
    """By mean and covariance of the whole set, where classes lie at different distances from the origin."""
    features = CLUSTERED * (1 + LABELS % 5)[:, None]
    errors = []
    for candidates in (1, 30):
        sampler = make(name, features, pool_size=400, num_candidates=candidates)
        errors.append(frechet_distances(features[sampler.plan(0)], features).mean())
    assert errors[1] < 0.8 * errors[0]


@pytest.mark.parametrize("name", MATCHING)
def test_candidates_come_from_the_pool_in_groups_of_distinct_places(name):
    classes = np.repeat([4, 7, 4, 9], 2)  # class 4 twice
    candidates = make(name, num_candidates=400)._candidates(np.random.default_rng(0), classes).reshape(400, 10, 2)
    assert (classes[candidates[..., 0]] == classes[candidates[..., 1]]).all()
    assert (candidates[..., 0] != candidates[..., 1]).all()
    shares = [(classes[candidates[..., 0]] == name).mean() for name in (4, 7, 9)]
    np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
    assert set(candidates[classes[candidates] == 4]) == {0, 1, 4, 5}


@pytest.mark.parametrize("name", MATCHING)
def test_a_pool_of_one_group_leaves_no_choice(name):
    assert all(len(np.unique(LABELS[batch])) == 1 for batch in make(name, pool_size=3).plan(0))


def test_distinct_members():
    classes = ClassMembers(np.array([2, 0, 2, 2, 1, 0, 1]))
    drawn = classes.distinct_members(np.random.default_rng(0), np.array([[2, 0]] * 300), 2)
    assert drawn.shape == (300, 2, 2)
    assert all(set(row) == {1, 5} for row in drawn[:, 1])
    assert {tuple(sorted(row)) for row in drawn[:, 0]} == {(0, 2), (0, 3), (2, 3)}


@pytest.mark.parametrize("rows", [30, 3])
def test_frechet_distance_is_that_of_the_matrix_root(rows):
    candidates, reference = RNG.standard_normal((3, 12, 8)), RNG.standard_normal((rows, 8)) * 2 + 1
    plain = [slow_frechet(reference, sample) for sample in candidates]
    np.testing.assert_allclose(frechet_distances(candidates, reference), plain, atol=5e-3)


def test_bin_heights():
    distances = RNG.random((2, 36)) * 8
    distances[0, :3] = -1.0  # outside
    heights = bin_heights(distances, (0.0, 8.0))
    counts = np.stack([np.histogram(row, bins=50, range=(0, 8))[0] for row in distances])
    np.testing.assert_allclose(heights, counts / [[33], [36]])


# What all are told.


def test_features_are_normalised_and_projected():
    sampler = make("greedy_coreset", similarity="cosine")
    np.testing.assert_allclose(np.linalg.norm(sampler.features, axis=1), 1, rtol=1e-5)
    pool = np.arange(50)
    wide = RNG.standard_normal((200, 400))
    sampler = make("greedy_coreset", wide, projection_size=100)
    rng = np.random.default_rng(0)
    first, second = (sampler.pool_features(rng, pool) for _ in range(2))
    assert first.shape == (50, 100)
    assert (first != second).any()
    assert np.square(first).sum() / np.square(wide[pool]).sum() == pytest.approx(100 / (3 * 400), rel=0.1)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("greedy_coreset", {"limit": -1.0}, "--data_gc_coreset_lim must be 0 or more"),
        ("d2_coreset", {"exponent": -1.0}, "--data_d2_coreset_lambda must be 0 or more"),
        ("fid_batchmatch", {"num_candidates": 0}, "--data_batchmatch_ncomps must be at least 1"),
        ("fid_batchmatch", {"pool_size": 1}, "--data_batchmatch_bigbs must be at least 2"),
        ("greedy_coreset", {"pool_size": 9}, "--data_batchmatch_bigbs must be at least 10"),
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
