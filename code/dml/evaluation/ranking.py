"""Where each query's positives stand among its neighbours, exactly, from one pass over similarity blocks.

A float32 product scores a block of queries against the gallery. What it cannot tell apart (scores within its error
bound of each other, where their order decides something) is scored again in pairs, so that results are those of the
order which :mod:`dml.neighbours.definition` defines. Where that would be too many pairs, as of collapsed embeddings, a
float64 product comes between, and what not even that tells apart, copies, is scored in whole rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dml.neighbours import ItemSets, ScoreBlock, SimilarityScores, ordered_topk, score_blocks, settle_hits
from dml.positives import ImageIds, num_positives
from dml.processes import add_shares, share_of

_BLOCK_BYTES = 128 * 2**20  # a block of scores and the work on it
_EXACT_BYTES = 64 * 2**20  # a block of the defining scores; a few times as much is held beside it
_PAIR_BYTES = 64  # held for each query and positive while a block is worked on
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
            more than any k. Either exact, or a lower bound that passes the same of the ranking's ``recall_ks`` as the
            exact number: compare it with these alone.
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

    def add_shares(self, rows: Tensor) -> None:
        """Of the queries ``rows``, of which each process has judged its share, tell every process all."""
        own = share_of(rows)
        for values in (self.in_front, self.average_precision, self.r_precision, self.first_hit):
            shares = torch.zeros_like(values)
            shares[own] = values[own]
            values[rows] = add_shares(shares)[rows]


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

    def list_lengths(self, rows: Tensor) -> Tensor:
        """How many of the nearest count for the metrics of each of ``rows`` (r,), which have positives: (r,)."""
        num = self.positives.num[rows]
        return num if self.num_neighbours is None else num.clamp_max(self.num_neighbours)

    @property
    def longest_list(self) -> int:
        """How many of the nearest count at most."""
        longest = int(self.positives.num.max())
        return longest if self.num_neighbours is None else min(longest, self.num_neighbours)

    def row_bytes(self) -> int:
        """What the work on a row takes beside its block."""
        return self.positives.of_class.largest * _PAIR_BYTES


def rank_queries(ranking: Ranking, chunk_size: int | None, *, together: bool = False) -> QueryResults:
    """Judge every query by a float32 product, the undecided ones by a float64 one, the rest by whole rows.

    Args:
        chunk_size: queries per block; None chooses it from the size of the gallery.
        together: whether all processes call this with the same ranking: each judges its share of the queries against
            the whole gallery, and all get what one process gets, to the bit.
    """
    scores = ranking.scores
    results = QueryResults.empty(scores.num_queries, scores.device)
    # Those with few positives first, so that a block asks for lists of about one length; those without need nothing.
    num, order = ranking.positives.num.sort(stable=True)
    asked = order[num > 0]
    undecided = share_of(asked) if together else asked
    for dtype in (torch.float32, torch.float64):
        undecided = _rank(ranking, undecided, dtype, chunk_size, results)
    block_rows = max(1, _EXACT_BYTES // (scores.bytes_per_row(torch.float64) + ranking.row_bytes()))
    for rows in undecided.split(chunk_size or block_rows):
        if len(rows):
            block = scores.exact_rows(rows)
            _rank_exactly(ranking, rows, block, results)
            _list_exactly(ranking, rows, block, results)
    if together:
        results.add_shares(asked)
    return results


def _rank(ranking: Ranking, rows: Tensor, dtype: torch.dtype, chunk_size: int | None, results: QueryResults) -> Tensor:
    """Judge the queries ``rows`` by a product of ``dtype``; those that it leaves undecided (u,) are returned."""
    undecided = [rows[:0]]
    options = {"num_bytes": _BLOCK_BYTES, "row_bytes": ranking.row_bytes(), "chunk": chunk_size}
    for part, block in score_blocks(ranking.scores, rows, dtype, longest=ranking.longest_list, **options):
        unclear = _list(ranking, part, block, results)
        if len(ranking.recall_ks):
            unclear |= _count(ranking, part, block, results)
        undecided.append(part[unclear])
    return torch.cat(undecided)


def _list(ranking: Ranking, rows: Tensor, block: ScoreBlock, results: QueryResults) -> Tensor:
    """Take the lists of nearest neighbours; True (r,) where there are too many candidates for them. A positive in a
    list says how many negatives are in front of the nearest."""
    if not ranking.longest_list:
        return torch.zeros_like(rows, dtype=torch.bool)
    lengths = ranking.list_lengths(rows)
    found = block.candidates(lengths)
    hits = ranking.positives.hits(rows, found.columns) & (found.values > -torch.inf)
    hits = settle_hits(ranking.scores, rows, found.values, found.columns, hits, block.margin)
    unclear = found.num > block.limit
    _store_hits(ranking, rows, hits, results)
    counted = hits & (torch.arange(hits.shape[1], device=rows.device) < lengths[:, None])
    first = counted.int().argmax(1).where(counted.any(1), _NO_POSITIVE)
    results.in_front[rows] = first.where(~unclear, _NO_POSITIVE)
    return unclear


def _count(ranking: Ranking, rows: Tensor, block: ScoreBlock, results: QueryResults) -> Tensor:
    """Find how many negatives are in front of the nearest positive, where no list has said it; True (r,) where there
    are too many that are as near as far as the block can tell."""
    unclear = torch.zeros_like(rows, dtype=torch.bool)
    is_open = torch.ones_like(unclear) if ranking.ties_count_for_query else results.in_front[rows] == _NO_POSITIVE
    here = is_open.nonzero().squeeze(1)
    best = _best_positive(ranking, rows, block.scores)[0][here]
    at_least = block.count_above(best + block.margin, here)
    results.in_front[rows[here]] = at_least
    at_most = block.count_above(best - block.margin, here) - 1  # the positive itself is among those counted
    bounds = torch.stack([at_least, at_most], dim=1)
    passed = torch.searchsorted(ranking.recall_ks, bounds, right=True)  # how many k each bound fails
    differ = passed[:, 0] != passed[:, 1]
    too_many = differ & (at_most - at_least > block.limit)
    unclear[here[too_many]] = True
    differ &= ~too_many
    here, best = here[differ], best[differ]
    if len(here):
        results.in_front[rows[here]] += _in_front_of_best(ranking, rows[here], block.near(best, here))
    return unclear


def _in_front_of_best(ranking: Ranking, rows: Tensor, near: tuple[Tensor, Tensor]) -> Tensor:
    """How many negatives (r,) of the pairs ``near``, positions in ``rows`` (r,) and gallery indices, are in front of
    the nearest positive, which is among them."""
    position, columns = near
    exact = ranking.scores.pairs(rows[position], columns)
    hits = ranking.positives.labels[columns] == ranking.positives.query_labels[rows][position]
    best = exact.new_full((len(rows),), -torch.inf)
    best.scatter_reduce_(0, position[hits], exact[hits], "amax")
    in_front = exact > best[position]
    if not ranking.ties_count_for_query:
        equal = exact == best[position]
        lowest = torch.full_like(rows, _NO_POSITIVE)
        lowest.scatter_reduce_(0, position[hits & equal], columns[hits & equal], "amin")
        in_front |= equal & (columns < lowest[position])
    return position[in_front].bincount(minlength=len(rows))


def _rank_exactly(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> None:
    if not len(ranking.recall_ks):
        return
    best, index = _best_positive(ranking, rows, block)
    rank = (block > best[:, None]).sum(1)
    if not ranking.ties_count_for_query:
        columns = torch.arange(block.shape[1], device=rows.device)
        rank += ((block == best[:, None]) & (columns < index[:, None])).sum(1)
    results.in_front[rows] = rank


def _best_positive(ranking: Ranking, rows: Tensor, block: Tensor) -> tuple[Tensor, Tensor]:
    """Score (r,) and lowest gallery index (r,) of each query's nearest positive."""
    position, columns = ranking.positives.of_class.pairs(rows)
    values = block[position, columns]
    best = block.new_full((len(rows),), -torch.inf).scatter_reduce_(0, position, values, "amax")
    lowest = torch.full_like(rows, block.shape[1])
    at_best = values == best[position]
    lowest.scatter_reduce_(0, position[at_best], columns[at_best], "amin")
    return best, lowest


def _list_exactly(ranking: Ranking, rows: Tensor, block: Tensor, results: QueryResults) -> None:
    if ranking.longest_list:
        indices = ordered_topk(block, ranking.longest_list)[1]
        _store_hits(ranking, rows, ranking.positives.hits(rows, indices), results)


def _store_hits(ranking: Ranking, rows: Tensor, hits: Tensor, results: QueryResults) -> None:
    """Average precision, R-precision and the first hit of lists of hits (r, L) bool, nearest first."""
    num = ranking.positives.num[rows]
    # All lists get one length, for the last digit of a sum depends on it.
    hits = F.pad(hits, (0, ranking.longest_list - hits.shape[1]))
    rank = torch.arange(1, hits.shape[1] + 1, device=rows.device)
    counted = hits & (rank <= num[:, None])
    precision = counted.cumsum(1).double() / rank
    results.average_precision[rows] = (precision * counted).sum(1) / num
    results.r_precision[rows] = counted.sum(1) / num.double()
    results.first_hit[rows] = hits[:, 0].double()
