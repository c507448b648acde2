"""Blocks of scores of a matrix product, and what can be told from them without doubt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from dml.neighbours.scores import SimilarityScores
from dml.neighbours.topk import kth_largest, true_places

_GROUP = 16  # scores of which the largest stands for all in a search for the largest few
_COUNT_COLUMNS = 4096  # scores compared at a time, so that they stay in cache
_SPARSE = 480  # in a gallery so many times as large as the list it pays to look into groups of scores alone
_CANDIDATE_BYTES = 40  # held for each place of a list of candidates
_FEWEST, _WORTHWHILE = 64, 32  # so many candidates, or this part of the gallery, are not worth another product


class Candidates(NamedTuple):
    """Which gallery items may be among the nearest of r queries.

    Attributes:
        values: (r, m) their scores in the block, largest first; −inf where a query has fewer than m.
        columns: (r, m) int64, their gallery indices.
        num: (r,) int64, how many a query has; more than ``limit``: they are not listed.
    """

    values: Tensor
    columns: Tensor
    num: Tensor


class ScoreBlock:
    """Scores of r queries with the whole gallery, each within ``margin / 2`` of the score that defines the order.

    Attributes:
        scores: (r, N).
        margin: a score that exceeds another by more does so in the defining order, too.
        limit: candidates of a query from which on they are not worth a look in pairs.
    """

    def __init__(self, padded: Tensor, num_gallery: int, margin: float, limit: int):
        self._padded = padded
        self.scores, self.margin, self.limit = padded[:, :num_gallery], margin, limit

    def candidates(self, k: Tensor) -> Candidates:
        """What may be among the ``k`` (r,) nearest: whatever lies less than the margin below the k-th largest score,
        or below less than it. Nothing that a query leaves out."""
        maxima, num_groups = self._maxima(int(k.max()))
        # The k largest scores lie in the groups with the k largest maxima, so that the k-th of these is not above the
        # k-th largest score.
        lowest = kth_largest(maxima, k).sub_(self.margin).clamp_min_(torch.finfo(maxima.dtype).min)[:, None]
        num_rows, width = self._padded.shape
        if num_groups == width or self.scores.shape[1] < _SPARSE * int(k.max()):
            flat = true_places(torch.ge(self._padded, lowest))
        else:
            group = true_places(torch.ge(maxima, lowest))
            row = group // num_groups
            first = group + row * (width - num_groups)
            flat = first[:, None] + torch.arange(0, width, num_groups, device=row.device)
            flat = flat[self._padded.take(flat) >= lowest[row]]
        row = flat // width
        num = row.bincount(minlength=num_rows)
        if int(num.max()) > self.limit:
            flat = flat[(num <= self.limit)[row]]
            row = flat // width
        listed = num.where(num <= self.limit, 0)
        longest = max(1, int(listed.max()))
        place = row * longest + torch.arange(len(row), device=row.device) - (listed.cumsum(0) - listed)[row]
        values = self._padded.new_full((num_rows, longest), -torch.inf)
        columns = row.new_zeros(num_rows, longest)
        values.view(-1)[place] = self._padded.take(flat)
        columns.view(-1)[place] = flat - row * width
        values, order = values.sort(dim=1, descending=True)
        return Candidates(values, columns.gather(1, order), num)

    def _maxima(self, longest: int) -> tuple[Tensor, int]:
        """The largest score of each of G groups, (r, G), at least four times as many as ``longest`` if there can be.

        Scores g, g + G, g + 2G … form group g, so that the maxima are taken along contiguous memory.
        """
        group = _GROUP
        while group > 1 and 4 * longest * group > self.scores.shape[1]:
            group //= 2
        num_groups = self._padded.shape[1] // group
        return (self._padded if group == 1 else self._padded.unflatten(1, (group, num_groups)).amax(1)), num_groups

    def count_above(self, threshold: Tensor, rows: Tensor) -> Tensor:
        """How many scores of each of ``rows`` (q,) exceed its threshold (q,): (q,) int64.

        Comparing into floating point and adding that up is several times faster than summing booleans; so short
        a sum of ones is exact.
        """
        count = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        scores = self.scores[rows]
        memory = scores.new_empty(len(rows), min(_COUNT_COLUMNS, scores.shape[1]))
        for part in scores.split(_COUNT_COLUMNS, dim=1):
            above = memory[:, : part.shape[1]]
            count += torch.gt(part, threshold[:, None], out=above).sum(1).long()
        return count

    def near(self, value: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The scores within the margin of a ``value`` (q,) of each of ``rows`` (q,): positions in ``rows`` and gallery
        indices, (p,) int64 each."""
        scores = self.scores[rows]
        lowest, highest = (value - self.margin)[:, None], (value + self.margin)[:, None]
        return ((scores > lowest) & (scores <= highest)).nonzero(as_tuple=True)


def score_blocks(
    scores: SimilarityScores,
    rows: Tensor,
    dtype: torch.dtype,
    *,
    longest: int,
    num_bytes: int,
    row_bytes: int = 0,
    chunk: int | None = None,
) -> Iterator[tuple[Tensor, ScoreBlock]]:
    """The queries ``rows`` (q,) part by part, each part with its block, which is gone when the next is asked for.

    Args:
        dtype: of the product.
        longest: how many neighbours are asked for at most.
        num_bytes: what a block and the work on it may take, about.
        row_bytes: what the work on a row takes beside the block.
        chunk: queries per block; None: as many as ``num_bytes`` allow.
    """
    num_gallery = scores.num_gallery
    limit = 2 * longest + max(_FEWEST, num_gallery // _WORTHWHILE)
    row_bytes += scores.bytes_per_row(dtype) + limit * _CANDIDATE_BYTES
    size = min(chunk or max(1, num_bytes // row_bytes), len(rows))
    width = -(-num_gallery // _GROUP) * _GROUP
    memory = torch.full((size, width), -torch.inf, dtype=dtype, device=scores.device)
    margin = 2 * scores.tolerance(dtype)
    for part in rows.split(size) if len(rows) else ():
        scores.block(part, dtype, out=memory)
        yield part, ScoreBlock(memory[: len(part)], num_gallery, margin, limit)
