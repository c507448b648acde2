"""The nearest gallery rows of every query: a float32 pass finds candidates, float64 scores decide among them."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.neighbours.item_sets import ItemSets
from dml.neighbours.scores import SimilarityScores
from dml.neighbours.topk import grouped_topk, ordered_topk

_FAST_BYTES = 320 * 2**20  # a block of float32 scores
_EXACT_BYTES = 128 * 2**20  # a block of float64 scores
_SLACK = 16  # candidates looked at beyond the k-th neighbour
_LONG_LIST = 32  # a k beyond this part of the gallery costs more to score in pairs than in whole rows


@torch.no_grad()
def nearest_neighbours(
    query: Tensor,
    gallery: Tensor,
    k: int,
    *,
    distance: str = "cosine",
    exclude: Tensor | ItemSets | None = None,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The k nearest gallery rows of every query, nearest first, equal ones by lower index.

    The order is that of float64 scores (:mod:`dml.neighbours.scores`). Only candidates that a float32 product
    cannot tell apart are scored so, unless they are too many: copies, collapsed embeddings. Time grows as Q·N·D,
    memory as Q·k plus a block of scores of constant size.

    Args:
        query: (Q, D) floating point.
        gallery: (N, D) floating point.
        k: between 1 and N, or N − 1 with a tensor ``exclude``.
        distance: ``cosine`` or ``euclidean``.
        exclude: what each query leaves out: (Q,) int64, its own index in the gallery; or a set of items each. With
            sets a list that has fewer than k others ends in items left out, at similarity −inf or distance inf.
        chunk_size: queries per block; None chooses it from the size of the gallery.

    Returns:
        indices (Q, k) int64, and (Q, k) float32 cosine similarities or Euclidean distances, on the query's
        device.

    Raises:
        ValueError: see :class:`SimilarityScores`; k out of range.
    """
    scores = SimilarityScores(query, gallery, distance=distance, exclude=exclude)
    available = len(gallery) - isinstance(exclude, Tensor)
    if not 1 <= k <= available:
        raise ValueError(f"k is {k}; the gallery offers 1 to {available} neighbours")
    indices = torch.empty(len(query), k, dtype=torch.int64, device=query.device)
    values = torch.empty(len(query), k, dtype=torch.float32, device=query.device)
    undecided = torch.arange(len(query), device=query.device)
    if k * _LONG_LIST <= len(gallery):
        undecided = _search_fast(scores, undecided, chunk_size, indices, values)
    _search_exact(scores, undecided, chunk_size, indices, values)
    return indices, values


def _search_fast(
    scores: SimilarityScores, rows: Tensor, chunk_size: int | None, indices: Tensor, values: Tensor
) -> Tensor:
    """Fill in the queries ``rows`` whose candidates are few; the others (u,) are returned.

    Float32 moves a score by the tolerance at most, so that the k nearest all lie within twice the tolerance of the
    k-th largest float32 score.
    """
    k = indices.shape[1]
    block_rows = min(chunk_size or scores.rows_per_block(_FAST_BYTES, torch.float32), len(rows))
    memory = torch.empty(block_rows, scores.num_gallery, device=scores.device)
    undecided = []
    for block_of_rows in rows.split(block_rows):
        block = scores.block(block_of_rows, torch.float32, out=memory)
        near, columns = grouped_topk(block, min(k + _SLACK, scores.num_gallery))
        candidate = (near >= near[:, k - 1 : k] - 2 * scores.tolerance) & (near > -torch.inf)
        too_many = candidate[:, -1] & (near.shape[1] < scores.num_gallery)
        undecided.append(block_of_rows[too_many])
        few = ~too_many
        decided = block_of_rows[few]
        top, indices[decided] = _choose(scores, decided, columns[few], candidate[few], k)
        values[decided] = scores.to_distance(decided, top).float()
    return torch.cat(undecided)


def _choose(
    scores: SimilarityScores, rows: Tensor, columns: Tensor, candidate: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """The k nearest of those ``columns`` (r, m) that are a ``candidate`` (r, m) bool: float64 scores and gallery
    indices, (r, k) each."""
    columns, order = columns.sort(dim=1)  # so that the lower place is the lower index
    candidate = candidate.gather(1, order)
    exact = torch.full_like(columns, -torch.inf, dtype=torch.float64)
    position = candidate.nonzero()[:, 0]
    exact[candidate] = scores.pairs(rows[position], columns[candidate])
    top, places = ordered_topk(exact, k)
    return top, columns.gather(1, places)


def _search_exact(
    scores: SimilarityScores, rows: Tensor, chunk_size: int | None, indices: Tensor, values: Tensor
) -> None:
    """Fill in the queries ``rows`` from float64 scores of the whole gallery."""
    block_rows = chunk_size or scores.rows_per_block(_EXACT_BYTES, torch.float64)
    for block_of_rows in rows.split(block_rows):
        if len(block_of_rows):
            block = scores.block(block_of_rows, torch.float64)
            top, indices[block_of_rows] = ordered_topk(block, indices.shape[1])
            values[block_of_rows] = scores.to_distance(block_of_rows, top).float()
