"""Where each query's positives stand among its neighbours, exactly, from one pass over similarity blocks.

A float32 product scores a block of queries against the gallery. Where rounding could change a query's result
(a score within the product's error bound of the one that decides) the query is scored again in float64, so
that results are those of the exact order which :mod:`dml.neighbours` defines.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dml.neighbours import ItemSets, SimilarityScores, grouped_topk, ordered_topk
from dml.positives import ImageIds, num_positives

_FAST_BYTES = 320 * 2**20  # a block of float32 scores
_EXACT_BYTES = 128 * 2**20  # a block of float64 scores
_PAIR_BYTES = 64  # held for each query and positive while a block is worked on
_SLACK = 8  # neighbours looked at beyond the R-th, to see whether the cut is clear
_COUNT_COLUMNS = 4096  # scores compared at a time, so that they stay in cache
_NO_POSITIVE = torch.iinfo(torch.int64).max


def left_out(image_ids: ImageIds | None) -> ItemSets | None:
    """What each query does not see: the gallery items of its own number. None: it sees all."""
    return None if image_ids is None else ItemSets.of_same_group(*image_ids)


@dataclass
class Positives:
    """Each query's positives: the gallery items of its class that it does not leave out.

    Attributes:
        labels: (N,) class of each gallery item.
        query_labels: (Q,) the same of queries.
        of_class: each query's gallery items of its class, those that it leaves out among them.
        num: (Q,) R, how many of them it does not leave out.
    """

    labels: Tensor
    query_labels: Tensor
    of_class: ItemSets
    num: Tensor

    @classmethod
    def build(cls, query_labels: Tensor, gallery_labels: Tensor, image_ids: ImageIds | None) -> Positives:
        """From integer labels (Q,) and (N,). A query leaves out what has its number in ``image_ids``; None: nothing.
        All on one device; time grows as that of sorting."""
        of_class = ItemSets.of_same_group(query_labels, gallery_labels)
        return cls(gallery_labels, query_labels, of_class, num_positives(query_labels, gallery_labels, image_ids))

    def hits(self, rows: Tensor, indices: Tensor) -> Tensor:
        """Which of the gallery items ``indices`` (r, L) are of the class of the queries ``rows`` (r,): bool."""
        return self.labels[indices] == self.query_labels[rows, None]


@dataclass
class QueryResults:
    """What the metrics need of r queries.

    Attributes:
        in_front: (r,) int64, how many negatives stand in front of the nearest positive; of a query without a positive
            more than any k. Exact only where float64 decided. Elsewhere it is a lower bound of which the float32 pass
            found that it passes the same of the ranking's ``recall_ks`` as the exact number: compare it with these
            alone.
        average_precision: (r,) float64, to the R-th neighbour.
        r_precision: (r,) float64, the share of hits among the R nearest.
        first_hit: (r,) float64, 1 where the nearest is a positive, else 0.
    """

    in_front: Tensor
    average_precision: Tensor
    r_precision: Tensor
    first_hit: Tensor

    @classmethod
    def empty(cls, num_rows: int, device: torch.device) -> QueryResults:
        in_front = torch.full((num_rows,), _NO_POSITIVE, device=device)
        return cls(in_front, *torch.zeros(3, num_rows, dtype=torch.float64, device=device))


@dataclass
class Ranking:
    """One evaluation: scores, positives, and what is asked for.

    Attributes:
        recall_ks: (K,) int64 ascending; empty if no recall is asked for.
        num_neighbours: None: as many as a query has positives; otherwise so many (0: no list is needed).
        ties_count_for_query: whether negatives as near as the nearest positive stand behind it, whatever their index.
    """

    scores: SimilarityScores
    positives: Positives
    recall_ks: Tensor
    num_neighbours: int | None
    ties_count_for_query: bool

    def list_length(self, rows: Tensor) -> int:
        if self.num_neighbours is not None:
            return self.num_neighbours
        return max(1, int(self.positives.num[rows].max()))

    def block_rows(self, num_bytes: int, dtype: torch.dtype) -> int:
        per_row = self.scores.bytes_per_row(dtype) + self.positives.of_class.largest * _PAIR_BYTES
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
    results.in_front[rows] = at_least.where(has_positive, _NO_POSITIVE)
    bounds = torch.stack([at_least, at_most], dim=1)
    passed = torch.searchsorted(ranking.recall_ks, bounds, right=True)  # how many k each bound fails
    return (passed[:, 0] != passed[:, 1]) & has_positive


def _rank_exact(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> None:
    if not len(ranking.recall_ks):
        return
    best, index = _best_positive(ranking, rows, block)
    rank = _count_above(block, best)
    if not ranking.ties_count_for_query:
        columns = torch.arange(block.shape[1], device=rows.device)
        rank += ((block == best[:, None]) & (columns < index[:, None])).sum(1)
    results.in_front[rows] = rank.where(ranking.positives.num[rows] > 0, _NO_POSITIVE)


def _best_positive(ranking: Ranking, rows: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Score (r,) and lowest gallery index (r,) of each query's nearest positive; −inf without one, as is what it
    leaves out."""
    position, columns = ranking.positives.of_class.pairs(rows)
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
    hits = ranking.positives.hits(rows, indices)
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
        hits = ranking.positives.hits(rows, indices)
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
