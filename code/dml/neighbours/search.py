"""The nearest gallery rows of every query: products find candidates, the defining scores decide among them."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.neighbours.blocks import ScoreBlock, score_blocks
from dml.neighbours.item_sets import ItemSets
from dml.neighbours.order import order_of
from dml.neighbours.scores import SimilarityScores
from dml.neighbours.topk import ordered_topk

_BLOCK_BYTES = 128 * 2**20  # a block of scores and the work on it
_EXACT_BYTES = 64 * 2**20  # a block of the defining scores; a few times as much is held beside it


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

    The order is that of :mod:`dml.neighbours.definition`, whatever the blocks, threads and device. Only candidates that
    a float32 product cannot tell apart are scored so; where they are many, as of collapsed embeddings, a float64
    product comes first, and for what not even that tells apart, copies, whole rows are scored. Time grows as Q·N·D,
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
    for dtype in (torch.float32, torch.float64):
        undecided = _search(scores, undecided, dtype, chunk_size, indices, values)
    _search_exactly(scores, undecided, chunk_size, indices, values)
    return indices, values


def _search(
    scores: SimilarityScores,
    rows: Tensor,
    dtype: torch.dtype,
    chunk_size: int | None,
    indices: Tensor,
    values: Tensor,
) -> Tensor:
    """Fill in the queries ``rows`` whose candidates are few; the others (u,) are returned."""
    undecided = [rows[:0]]
    options = {"longest": indices.shape[1], "num_bytes": _BLOCK_BYTES, "chunk": chunk_size}
    for part, block in score_blocks(scores, rows, dtype, **options):
        undecided.append(part[_choose(scores, part, block, indices, values)])
    return torch.cat(undecided)


def _choose(scores: SimilarityScores, rows: Tensor, block: ScoreBlock, indices: Tensor, values: Tensor) -> Tensor:
    """Fill in the queries ``rows`` (r,) of ``block``; True (r,) where it cannot."""
    k = indices.shape[1]
    found = block.candidates(torch.full_like(rows, k))
    unclear = (found.num > block.limit) | (found.num < k)
    there = (found.values > -torch.inf) & ~unclear[:, None]
    position, _ = there.nonzero(as_tuple=True)
    columns = found.columns[there]
    exact = scores.pairs(rows[position], columns)
    order = order_of(position, exact, columns)
    num = there.sum(1)
    first = (num.cumsum(0) - num)[~unclear]
    order = order[first[:, None] + torch.arange(k, device=rows.device)]
    indices[rows[~unclear]] = columns[order]
    values[rows[~unclear]] = scores.to_distance(exact[order]).float()
    return unclear


def _search_exactly(
    scores: SimilarityScores, rows: Tensor, chunk_size: int | None, indices: Tensor, values: Tensor
) -> None:
    """Fill in the queries ``rows`` from the defining scores of the whole gallery."""
    for part in rows.split(chunk_size or scores.rows_per_block(_EXACT_BYTES, torch.float64)):
        if len(part):
            top, indices[part] = ordered_topk(scores.exact_rows(part), indices.shape[1])
            values[part] = scores.to_distance(top).float()
