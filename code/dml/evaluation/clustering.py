"""Clustering metrics: k-means on the embeddings, then NMI and pair-counting F1 against the labels."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

_BLOCK_BYTES = 256 * 2**20  # a block of scores of points against centres
_SEEDING_BYTES = 256 * 2**20  # a block of distances of trials to all points
_SEEDING_SHARE = 16  # trials are drawn for 1/16 as many centres at once as there are


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
    """Lloyd's k-means with greedy k-means++ seeding; the best of several restarts.

    Runs on the embeddings' device. An empty cluster is given the point that lies farthest from its centre.
    An iteration costs N·K·D, seeding (2 + ln K) times that; N×K is never held, only blocks of it.

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
    from sklearn.metrics import normalized_mutual_info_score  # here: it brings scipy's statistics

    return float(normalized_mutual_info_score(labels.cpu().numpy(), clusters.cpu().numpy()))


def pair_f1(labels: Tensor, clusters: Tensor) -> float:
    """F1 of pairs of samples: a pair is true if the labels agree, found if the clusters agree (METHODS §20).

    Counted from the (sparse) contingency table, so that N×N is never formed. 0 if no pair agrees in both.

    Args:
        labels: (N,) integer classes.
        clusters: (N,) integer clusters.
    """
    from sklearn.metrics.cluster import contingency_matrix  # here: it brings scipy's statistics

    table = contingency_matrix(labels.cpu().numpy(), clusters.cpu().numpy(), sparse=True, dtype="int64")

    both, same_label, same_cluster = (
        int((counts * (counts - 1)).sum()) // 2
        for counts in (table.data, np.asarray(table.sum(1)).ravel(), np.asarray(table.sum(0)).ravel())
    )
    return 2 * both / (same_label + same_cluster) if both else 0.0


def _seed_centres(points: Tensor, num_clusters: int, generator: torch.Generator) -> Tensor:
    """K starting centres (K, D) by greedy k-means++ (Arthur and Vassilvitskii, 2007, section 7).

    Each centre is the best of 2 + ln K trials, points drawn with odds of their squared distance to the nearest
    centre so far: the trial that leaves the least sum of these distances. So seldom do two centres share a cluster
    while another has none, which the iterations that follow could not mend.

    NOTE: the trials of up to 1/16 as many centres as there are already are drawn at once, by the odds before
    them, for one product of the data with many trials is much faster than many with few. Which trial is the best
    is decided one centre after the other.
    """
    num_trials = 2 + int(math.log(num_clusters))
    most_at_once = max(1, _SEEDING_BYTES // (num_trials * len(points) * points.element_size()))
    square = points.square().sum(1)
    first = torch.randint(len(points), (1,), generator=generator, device=points.device)
    chosen = [first]
    nearest = _squared_distances(points, square, first)[0]
    while len(chosen) < num_clusters:
        num_centres = min(num_clusters - len(chosen), most_at_once, 1 + len(chosen) // _SEEDING_SHARE)
        trials = _draw(nearest, num_centres * num_trials, generator)
        distances = _squared_distances(points, square, trials)
        for own, own_distances in zip(trials.split(num_trials), distances.split(num_trials), strict=True):
            reduced = torch.minimum(own_distances, nearest)
            best = reduced.sum(1).argmin(keepdim=True)
            nearest = reduced[best][0]
            chosen.append(own[best])
    return points[torch.cat(chosen)]


def _draw(odds: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """``number`` indices (number,) int64 drawn with ``odds`` (N,), with replacement."""
    cumulated = odds.cumsum(0, dtype=torch.float64)
    place = torch.rand(number, generator=generator, dtype=torch.float64, device=odds.device) * cumulated[-1]
    return torch.searchsorted(cumulated, place, right=True).clamp_(max=len(odds) - 1)


def _squared_distances(points: Tensor, square: Tensor, rows: Tensor) -> Tensor:
    """Of the points ``rows`` (M,) to all: (M, N), given the squared norms (N,) of all."""
    product = torch.addmm(square, points[rows], points.T, alpha=-2)
    return product.add_(square[rows, None]).clamp_min_(0)


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
