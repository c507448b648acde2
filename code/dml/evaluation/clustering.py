"""Clustering metrics: k-means on the embeddings, then NMI and pair-counting F1 against the labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.metrics import normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix
from torch import Tensor

_BLOCK_BYTES = 256 * 2**20  # a block of scores of points against centres
_SEEDING_ROUNDS = 256


@torch.no_grad()
def kmeans(
    embeddings: Tensor,
    num_clusters: int,
    *,
    seed: int = 0,
    num_restarts: int = 1,
    max_iterations: int = 100,
    tolerance: float = 1e-4,
) -> Tensor:
    """Lloyd's k-means with k-means++ seeding; the best of several restarts.

    Runs on the embeddings' device. An empty cluster is given the point that lies farthest from its centre.
    An iteration costs N·K·D and seeding as much in all; N×K is never held, only blocks of it.

    Args:
        embeddings: (N, D) floating point; normalise them for spherical distances.
        num_clusters: K, between 1 and N.
        seed: of the seeding; on a CPU the same seed gives the same clusters.
        num_restarts: runs from different seedings, of which that with the least inertia counts.
        max_iterations: most iterations of a run.
        tolerance: a run ends when the centres move by less than this share of the data's variance.

    Returns:
        (N,) int64 clusters, each 0..K−1.

    Raises:
        ValueError: K out of range, or embeddings that are not a finite (N, D) tensor.
    """
    if embeddings.ndim != 2 or not embeddings.isfinite().all():
        raise ValueError(f"k-means needs finite (N, D) embeddings; got {tuple(embeddings.shape)}")
    if not 1 <= num_clusters <= len(embeddings):
        raise ValueError(f"num_clusters is {num_clusters}; {len(embeddings)} embeddings allow 1 to that many")
    points = (embeddings.double() - embeddings.double().mean(0)).float()  # keeps the distances' digits
    generator = torch.Generator(device=points.device).manual_seed(seed)
    runs = (
        _lloyd(points, _seed_centres(points, num_clusters, generator), max_iterations, tolerance)
        for _ in range(num_restarts)
    )
    return min(runs, key=lambda run: run[1])[0]


def nmi(labels: Tensor, clusters: Tensor) -> float:
    """Normalised mutual information of two partitions (N,), arithmetic mean of the entropies: 0..1."""
    return float(normalized_mutual_info_score(labels.cpu().numpy(), clusters.cpu().numpy()))


def pair_f1(labels: Tensor, clusters: Tensor) -> float:
    """F1 of pairs of samples: a pair is true if the labels agree, found if the clusters agree (METHODS §20).

    Counted from the (sparse) contingency table, so that N×N is never formed. 0 if no pair agrees in both.

    Args:
        labels: (N,) integer classes.
        clusters: (N,) integer clusters.
    """
    table = contingency_matrix(labels.cpu().numpy(), clusters.cpu().numpy(), sparse=True, dtype="int64")

    both, same_label, same_cluster = (
        int((counts * (counts - 1)).sum()) // 2
        for counts in (table.data, np.asarray(table.sum(1)).ravel(), np.asarray(table.sum(0)).ravel())
    )
    return 2 * both / (same_label + same_cluster) if both else 0.0


def _seed_centres(points: Tensor, num_clusters: int, generator: torch.Generator) -> Tensor:
    """K starting centres (K, D): points drawn with odds of their squared distance to the nearest one before.

    Up to ``_SEEDING_ROUNDS`` centres this is k-means++ (Arthur and Vassilvitskii, 2007). NOTE: more are drawn
    in as many rounds, several at a time by the same odds, since one product of the data with each of
    thousands of centres would cost more than the iterations that follow.
    """
    centres = points.new_empty(num_clusters, points.shape[1])
    nearest = torch.ones_like(points[:, 0])  # equal odds for the first
    first, last = 0, 1
    while True:
        # Gumbel's trick: the largest of log p + noise is a draw from p, the m largest are m draws.
        noise = -torch.empty_like(nearest).exponential_(generator=generator).log_()
        centres[first:last] = points[(nearest.log() + noise).topk(last - first).indices]
        if last == num_clusters:
            return centres
        distance = _assign(points, centres[first:last])[1]
        nearest = distance if first == 0 else torch.minimum(nearest, distance)
        first, last = last, min(num_clusters, last + math.ceil(num_clusters / _SEEDING_ROUNDS))


def _lloyd(points: Tensor, centres: Tensor, max_iterations: int, tolerance: float) -> tuple[Tensor, float]:
    """Iterate from ``centres`` (K, D): clusters (N,) and the inertia, the sum of squared distances."""
    smallest_move = tolerance * float(points.var(0, correction=0).mean())
    for _ in range(max_iterations):
        clusters, distance = _assign(points, centres)
        _fill_empty(clusters, distance, len(centres))
        means = torch.zeros_like(centres).index_add_(0, clusters, points)
        means /= clusters.bincount(minlength=len(centres)).clamp_min(1)[:, None]
        move = float((means - centres).square().sum())
        centres = means
        if move <= smallest_move:
            break
    clusters, distance = _assign(points, centres)
    return clusters, float(distance.sum(dtype=torch.float64))


def _assign(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point and the squared distance to it: (N,) int64 and (N,)."""
    half_square = 0.5 * centres.square().sum(1)
    blocks = points.split(max(1, _BLOCK_BYTES // (len(centres) * points.element_size())))
    nearest = [torch.addmm(half_square, block, centres.T, beta=-1).max(1) for block in blocks]
    clusters = torch.cat([found.indices for found in nearest])
    score = torch.cat([found.values for found in nearest])
    return clusters, (points.square().sum(1) - 2 * score).clamp_min_(0)


def _fill_empty(clusters: Tensor, distance: Tensor, num_clusters: int) -> None:
    """Give each empty cluster one of the points that lie farthest from their centres."""
    empty = (clusters.bincount(minlength=num_clusters) == 0).nonzero().squeeze(1)
    farthest = distance.topk(len(empty)).indices
    clusters[farthest] = empty
