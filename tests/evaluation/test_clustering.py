"""k-means against scikit-learn's, NMI and F1 by hand and by their definitions."""

from __future__ import annotations

import itertools

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics.cluster import pair_confusion_matrix

from dml.evaluation import clustering
from dml.evaluation.clustering import kmeans, nmi, pair_f1


def blobs(seed, num_classes, per_class, spread, dim=8):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_classes).repeat_interleave(per_class)
    centres = torch.randn(num_classes, dim, generator=generator)
    return centres[labels] + spread * torch.randn(len(labels), dim, generator=generator), labels


def inertia(points, clusters):
    return float(
        sum((points[clusters == c] - points[clusters == c].mean(0)).square().sum() for c in set(clusters.tolist()))
    )


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "spread"), [(5, 0.1), (20, 0.7), (300, 0.5)])
def test_kmeans_is_as_good_as_scikit_learns(num_classes, spread):
    points, labels = blobs(0, num_classes, 8, spread)
    ours = [kmeans(points, num_classes, seed=seed) for seed in range(5)]
    theirs = [KMeans(num_classes, n_init=1, random_state=seed).fit(points) for seed in range(5)]
    expected = sum(run.inertia_ for run in theirs) / 5
    assert sum(inertia(points, run) for run in ours) / 5 <= 1.05 * expected
    expected = sum(nmi(labels, torch.from_numpy(run.labels_)) for run in theirs) / 5
    assert sum(nmi(labels, run) for run in ours) / 5 >= expected - 0.02


@pytest.mark.slow
def test_many_clusters_are_within_half_a_point_of_scikit_learns():
    """Few images a class, as in Stanford Online Products: here poor starting centres cost points."""
    points, labels = blobs(3, 800, 5, 0.5, dim=16)
    ours = [kmeans(points, 800, seed=seed) for seed in range(2)]
    theirs = [torch.from_numpy(KMeans(800, n_init=1, random_state=seed).fit(points).labels_) for seed in range(2)]
    found, expected = (sum(nmi(labels, run) for run in runs) / 2 for runs in (ours, theirs))
    assert abs(found - expected) < 0.005


def test_restarts_find_well_separated_clusters():
    points, labels = blobs(1, 10, 30, 0.02)
    assert nmi(labels, kmeans(points + 1e4, 10, num_restarts=8)) > 0.99


def test_kmeans_repeats_and_does_not_depend_on_blocks(monkeypatch):
    points, _ = blobs(2, 12, 10, 0.3)
    expected = kmeans(points, 12, seed=3)
    assert torch.equal(kmeans(points, 12, seed=3), expected)
    monkeypatch.setattr(clustering, "_BLOCK_BYTES", 1000)
    assert torch.equal(kmeans(points, 12, seed=3), expected)


def test_no_cluster_stays_empty():
    points = torch.cat([torch.zeros(50, 2), torch.tensor([[1.0, 0.0], [2.0, 0.0], [9.0, 0.0]])])
    start = torch.tensor([[0.0, 0.0], [99.0, 99.0], [99.0, 98.0], [98.0, 99.0]])
    clusters, _ = clustering._lloyd(points, start, 100, 1e-4)
    assert len(clusters.unique()) == 4


def test_seeding_is_as_good_with_little_memory(monkeypatch):
    points, labels = blobs(4, 200, 6, 0.2)
    expected = nmi(labels, kmeans(points, 200))
    monkeypatch.setattr(clustering, "_SEEDING_BYTES", 1)  # the trials of one centre at a time
    assert nmi(labels, kmeans(points, 200)) == pytest.approx(expected, abs=0.01)


def test_fewer_distinct_rows_than_clusters():
    clusters = kmeans(torch.ones(6, 3), 4)
    assert clusters.shape == (6,)
    assert kmeans(torch.randn(6, 3), 6).unique().tolist() == list(range(6))
    assert kmeans(torch.randn(6, 3), 1).tolist() == [0] * 6


@pytest.mark.parametrize("num_clusters", [0, 7])
def test_kmeans_refuses_impossible_counts(num_clusters):
    with pytest.raises(ValueError, match=f"num_clusters is {num_clusters}; 6 embeddings"):
        kmeans(torch.zeros(6, 3), num_clusters)


def test_kmeans_refuses_nan():
    with pytest.raises(ValueError, match="finite"):
        kmeans(torch.full((6, 3), float("nan")), 2)


def test_pair_f1_by_hand():
    labels, clusters = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 1])
    # Pairs of equal label: 3 + 1; of equal cluster: 1 + 3; of both: 1 + 1.
    assert pair_f1(labels, clusters) == pytest.approx(2 * 2 / (4 + 4))
    assert pair_f1(labels, labels) == 1.0
    assert pair_f1(torch.arange(5), torch.arange(5)) == 0.0


def test_pair_f1_counts_pairs():
    generator = torch.Generator().manual_seed(0)
    labels, clusters = torch.randint(9, (2, 120), generator=generator)
    pairs = list(itertools.combinations(range(120), 2))
    both = sum(bool(labels[i] == labels[j] and clusters[i] == clusters[j]) for i, j in pairs)
    same_label = sum(bool(labels[i] == labels[j]) for i, j in pairs)
    same_cluster = sum(bool(clusters[i] == clusters[j]) for i, j in pairs)
    expected = 2 * both / (same_label + same_cluster)
    assert pair_f1(labels, clusters) == pytest.approx(expected)
    (_, fp), (fn, tp) = pair_confusion_matrix(labels, clusters)
    assert pair_f1(labels, clusters) == pytest.approx(2 * tp / (2 * tp + fp + fn))


def test_nmi_of_equal_and_independent_partitions():
    labels = torch.arange(100) % 10
    assert nmi(labels, (labels + 3) % 10) == pytest.approx(1.0)
    assert nmi(labels, torch.arange(100) // 10) == pytest.approx(0.0, abs=1e-9)
