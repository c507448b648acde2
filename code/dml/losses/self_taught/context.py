"""Contextualised semantic similarity of a batch (Kim et al., Self-Taught Metric Learning without Labels, CVPR 2022)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dml.losses.distances import squared_distances
from dml.normalize import l2_normalize_clamped


class ContextualSimilarity(NamedTuple):
    """How alike the B rows of a batch are, and how that came about. All matrices are (B, B).

    Attributes:
        pairwise: W^P in (0, 1], from the teacher's distances alone.
        neighbours: (B, k) int64, the k nearest rows of each, nearest first.
        reciprocal: V, bool: whether two rows are among each other's k nearest.
        overlap: C̃ in 0..1, the share of a row's reciprocal neighbours that it has in common with the other row.
        expanded: Ĉ in 0..1, C̃ averaged over the nearer half of the row's neighbours.
        contextual: W^C in 0..1, the symmetric part of Ĉ.
        similarity: W, the mean of W^P and W^C.
    """

    pairwise: Tensor
    neighbours: Tensor
    reciprocal: Tensor
    overlap: Tensor
    expanded: Tensor
    contextual: Tensor
    similarity: Tensor


@torch.no_grad()
def contextual_similarity(
    teacher: Tensor, images: Tensor, *, sigma: float, num_neighbours: int
) -> ContextualSimilarity:
    """What the teacher takes for alike in a batch, without any label (METHODS §12).

    Two rows are alike as far as their embeddings are close, ``W^P = exp(−‖t̂_i − t̂_j‖² / σ)``, and as far as their
    neighbourhoods agree. Views of one image count as coinciding where neighbours are sought, and only there.
    O(B²·D + B³) time and O(B²) memory; no gradient.

    NOTE: σ = 0 is not published. Distances depend on the start of a network: squared, 0.9 on average from ImageNet's
    weights and 0.03 from random ones, so that no one σ tells near from far in both.

    NOTE: which of several equally near rows is a neighbour (views of one image, if they are more than k) is left
    to ``torch.topk``, as published.

    Args:
        teacher: (B, G) embeddings of any norm.
        images: (B,) int64, rows with the same number are views of one image.
        sigma: σ, bandwidth of the similarity; 0: the mean of ‖t̂_i − t̂_j‖² over rows of different images.
        num_neighbours: k; all rows where the batch has fewer.
    """
    distances = squared_distances(l2_normalize_clamped(teacher)).clamp_min(0)
    pairwise = (distances / -(sigma or _mean_between(distances, images))).exp()
    sought = pairwise.masked_fill(images[:, None] == images, 1)
    neighbours = sought.topk(min(num_neighbours, len(teacher))).indices
    is_neighbour = _indicator(neighbours, pairwise)
    reciprocal = is_neighbour * is_neighbour.T
    overlap = reciprocal * (reciprocal @ reciprocal.T) / reciprocal.sum(1, keepdim=True).clamp_min(1)
    nearer = neighbours[:, : round(neighbours.shape[1] / 2)]
    expanded = _indicator(nearer, pairwise) @ overlap / nearer.shape[1]
    contextual = (expanded + expanded.T) / 2
    similarity = (pairwise + contextual) / 2
    return ContextualSimilarity(pairwise, neighbours, reciprocal.bool(), overlap, expanded, contextual, similarity)


def _mean_between(distances: Tensor, images: Tensor) -> Tensor:
    """Scalar: the mean of (B, B) distances over rows of different images; above 0."""
    between = images[:, None] != images
    return (distances * between).sum().div(between.sum().clamp_min(1)).clamp_min(torch.finfo(distances.dtype).tiny)


def _indicator(columns: Tensor, like: Tensor) -> Tensor:
    """(B, k) columns of each row → (B, B) of the kind of ``like``: 1 there, 0 elsewhere."""
    return torch.zeros_like(like).scatter_(1, columns, 1)
