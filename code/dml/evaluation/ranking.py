"""Where each query's positives stand among its neighbours, exactly, from one pass over similarity blocks.

A float32 product scores a block of queries against the gallery. Where rounding could change a query's result
(a score within the product's error bound of the one that decides) the query is scored again in float64, so
that results are those of the exact order which :mod:`dml.neighbours` defines.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dml.neighbours import SimilarityScores, grouped_topk, ordered_topk

_FAST_BYTES = 320 * 2**20  # a block of float32 scores
_EXACT_BYTES = 128 * 2**20  # a block of float64 scores
_PAIR_BYTES = 64  # held for each query and positive while a block is worked on
_SLACK = 8  # neighbours looked at beyond the R-th, to see whether the cut is clear
_COUNT_COLUMNS = 4096  # scores compared at a time, so that they stay in cache
_NO_POSITIVE = torch.iinfo(torch.int64).max


@dataclass
class Positives:
    """Where each query's positives stand in the gallery.

    Attributes:
        labels: (N,) class of each gallery item, 0..C−1.
        query_labels: (Q,) the same for queries; −1 for a class that the gallery lacks.
        order: (N,) gallery indices, class by class, ascending within a class.
        start: (Q,) where the query's class begins in ``order``.
        size: (Q,) items of the query's class in the gallery, the query itself included.
        num: (Q,) R, the same without the query itself.
    """

    labels: Tensor
    query_labels: Tensor
    order: Tensor
    start: Tensor
    size: Tensor
    num: Tensor

    @classmethod
    def build(
        cls, query_labels: Tensor, gallery_labels: Tensor, device: torch.device, *, leave_out_self: bool
    ) -> Positives:
        query_labels, gallery_labels = query_labels.to(device), gallery_labels.to(device)
        classes, labels = gallery_labels.unique(return_inverse=True)
        counts = labels.bincount(minlength=len(classes))
        position = torch.searchsorted(classes, query_labels).clamp_(max=len(classes) - 1)
        present = classes[position] == query_labels
        size = counts[position] * present
        return cls(
            labels=labels,
            query_labels=position.where(present, -1),
            order=labels.argsort(stable=True),
            start=(counts.cumsum(0) - counts)[position],
            size=size,
            num=size - int(leave_out_self),
        )

    def pairs(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """All pairs of a query of ``rows`` (r,) and an item of its class: positions in ``rows`` and gallery
        indices, (P,) int64 each."""
        size = self.size[rows]
        position = torch.arange(len(rows), device=rows.device).repeat_interleave(size)
        first = (self.start[rows] - (size.cumsum(0) - size)).repeat_interleave(size)
        return position, self.order[first + torch.arange(len(first), device=rows.device)]


@dataclass
class QueryResults:
    """What the metrics need of r queries.

    Attributes:
        rank: (r,) int64, negatives in front of the nearest positive.
        average_precision, r_precision, first_hit: (r,) float64.
    """

    rank: Tensor
    average_precision: Tensor
    r_precision: Tensor
    first_hit: Tensor

    @classmethod
    def empty(cls, num_rows: int, device: torch.device) -> QueryResults:
        rank = torch.full((num_rows,), _NO_POSITIVE, device=device)
        return cls(rank, *torch.zeros(3, num_rows, dtype=torch.float64, device=device))


@dataclass
class Ranking:
    """One evaluation: scores, positives, and what is asked for.

    Attributes:
        recall_ks: (K,) int64 ascending; empty if no recall is asked for.
        num_neighbours: None: as many as a query has positives; otherwise so many (0: no list is needed).
        strict: whether a negative as near as the nearest positive stands behind it.
    """

    scores: SimilarityScores
    positives: Positives
    recall_ks: Tensor
    num_neighbours: int | None
    strict: bool

    def list_length(self, rows: Tensor) -> int:
        if self.num_neighbours is not None:
            return self.num_neighbours
        return max(1, int(self.positives.num[rows].max()))

    def block_rows(self, num_bytes: int, dtype: torch.dtype) -> int:
        per_row = self.scores.num_gallery * dtype.itemsize + int(self.positives.size.max()) * _PAIR_BYTES
        return max(1, num_bytes // per_row)


def rank_queries(ranking: Ranking, chunk_size: int | None) -> QueryResults:
    """Score every query in float32, and the undecided ones again in float64."""
    scores = ranking.scores
    results = QueryResults.empty(scores.num_queries, scores.device)
    block_rows = min(chunk_size or ranking.block_rows(_FAST_BYTES, torch.float32), scores.num_queries)
    memory = torch.empty(block_rows, scores.num_gallery, device=scores.device)
    undecided = []
    for rows in torch.arange(scores.num_queries, device=scores.device).split(block_rows):
        block = scores.block(rows, torch.float32, out=memory)
        unclear = _rank_fast(ranking, rows, block, results) | _list_fast(ranking, rows, block, results)
        undecided.append(rows[unclear])
    del memory
    block_rows = min(chunk_size or _NO_POSITIVE, ranking.block_rows(_EXACT_BYTES, torch.float64))
    for rows in torch.cat(undecided).split(block_rows):
        if len(rows):
            block = scores.block(rows, torch.float64)
            _rank_exact(ranking, rows, block, results)
            _list_exact(ranking, rows, block, results)
    return results


def _rank_fast(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> Tensor:
    """Bound the rank of the nearest positive; True (r,) where the bounds leave a recall open."""
    if not len(ranking.recall_ks):
        return torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    best = _best_positive(ranking, rows, block)[0]
    margin = 2 * ranking.scores.tolerance
    at_least = _count_above(block, best + margin)
    at_most = _count_above(block, best - margin) - 1  # the positive itself is among those counted
    has_positive = ranking.positives.num[rows] > 0
    results.rank[rows] = at_least.where(has_positive, _NO_POSITIVE)
    bounds = torch.stack([at_least, at_most], dim=1)
    passed = torch.searchsorted(ranking.recall_ks, bounds, right=True)  # how many k each bound fails
    return (passed[:, 0] != passed[:, 1]) & has_positive


def _rank_exact(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> None:
    if not len(ranking.recall_ks):
        return
    best, index = _best_positive(ranking, rows, block)
    rank = _count_above(block, best)
    if not ranking.strict:
        columns = torch.arange(block.shape[1], device=rows.device)
        rank += ((block == best[:, None]) & (columns < index[:, None])).sum(1)
    results.rank[rows] = rank.where(ranking.positives.num[rows] > 0, _NO_POSITIVE)


def _best_positive(ranking: Ranking, rows: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Score (r,) and lowest gallery index (r,) of each query's nearest positive; −inf without one."""
    position, columns = ranking.positives.pairs(rows)
    values = block[position, columns]
    best = block.new_full((len(rows),), -torch.inf).scatter_reduce_(0, position, values, "amax")
    lowest = torch.full_like(rows, block.shape[1])
    at_best = values == best[position]
    lowest.scatter_reduce_(0, position[at_best], columns[at_best], "amin")
    return best, lowest


def _count_above(block: Tensor, threshold: Tensor) -> Tensor:
    """How many scores of each row exceed its threshold: (r,) int64.

    Comparing into floating point and adding that up is several times faster than summing booleans; so short
    a sum of ones is exact.
    """
    count = torch.zeros(len(block), dtype=torch.int64, device=block.device)
    memory = block.new_empty(len(block), min(_COUNT_COLUMNS, block.shape[1]))
    for part in block.split(_COUNT_COLUMNS, dim=1):
        above = memory[:, : part.shape[1]]
        count += torch.gt(part, threshold[:, None], out=above).sum(1).long()
    return count


def _list_fast(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> Tensor:
    """Take the list of nearest neighbours; True (r,) where rounding could change its hits.

    Neighbours whose scores differ by less than the margin may stand in another order. That matters only if
    one is a hit and the other is not, and then two such stand side by side somewhere down to where the scores
    fall clearly below the last one that counts.
    """
    length = ranking.list_length(rows)
    if not length:
        return torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    values, indices = grouped_topk(block, min(length + _SLACK, block.shape[1]))
    hits = ranking.positives.labels[indices] == ranking.positives.query_labels[rows, None]
    _store_hits(ranking, rows, hits[:, :length], results)
    margin = 2 * ranking.scores.tolerance
    last_counted = (ranking.positives.num[rows].clamp(1, length) - 1)[:, None]
    reaches = values >= values.gather(1, last_counted) - margin
    mixed = (hits[:, 1:] != hits[:, :-1]) & (values[:, :-1] - values[:, 1:] <= margin)
    unclear = (mixed & reaches[:, 1:]).any(1)
    if values.shape[1] < block.shape[1]:
        unclear |= reaches[:, -1]
    return unclear & (ranking.positives.num[rows] > 0)


def _list_exact(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> None:
    length = ranking.list_length(rows)
    if length:
        indices = ordered_topk(block, min(length, block.shape[1]))[1]
        hits = ranking.positives.labels[indices] == ranking.positives.query_labels[rows, None]
        _store_hits(ranking, rows, hits, results)


def _store_hits(ranking: Ranking, rows: Tensor, hits: Tensor, results: QueryResults) -> None:
    """Average precision, R-precision and the first hit of lists of hits (r, L) bool, nearest first."""
    num = ranking.positives.num[rows]
    rank = torch.arange(1, hits.shape[1] + 1, device=rows.device)
    counted = hits & (rank <= num[:, None])
    precision = counted.cumsum(1).double() / rank
    divisor = num.clamp_min(1)
    results.average_precision[rows] = (precision * counted).sum(1) / divisor
    results.r_precision[rows] = counted.sum(1) / divisor.double()
    results.first_hit[rows] = (hits[:, 0] & (num > 0)).double()
