"""Mean average precision of whole rankings, as the Revisiting and LSD repositories define it (METHODS §20).

A ranking is never sorted: where a query's j-th positive stands is told by how many negatives score higher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dml.evaluation.ranking import Positives
from dml.evaluation.retrieval import make_ranking
from dml.neighbours import SimilarityScores
from dml.positives import ImageIds
from dml.processes import add_shares, share_of
from dml.registry import Registry

_BLOCK_BYTES = 64 * 2**20  # a block of float64 scores; a few times as much is held beside it


@dataclass(frozen=True)
class Cutoff:
    """How much of a ranking counts.

    Attributes:
        length: so many neighbours; None: all, or with ``class_size`` as many as the class has members.
        class_size: whether the class decides.
    """

    length: int | None = None
    class_size: bool = False


CUTOFFS: Registry[Cutoff] = Registry(
    "average precision",
    {
        "mAP": Cutoff(),
        "mAP_c": Cutoff(class_size=True),
        "mAP_lim": Cutoff(length=1023),
        "mAP_1000": Cutoff(length=1000),
    },
)


@torch.no_grad()
def mean_average_precision(
    query: Tensor,
    query_labels: Tensor,
    gallery: Tensor | None = None,
    gallery_labels: Tensor | None = None,
    *,
    names: Sequence[str],
    image_ids: ImageIds | None = None,
    distance: str = "euclidean",
    chunk_size: int | None = None,
    together: bool = False,
) -> dict[str, float]:
    """Mean over all queries of AP = (1/n) Σ_{j≤J} hit_j · (hits up to j)/j, for each cutoff J of ``names``.

    n is the number of the query's positives. NOTE: as published it counts the query itself, too, where the queries
    are their own gallery, so that a perfect ranking has AP (n − 1)/n and a singleton 0. NOTE: the published code
    appends neighbours that do not exist where the list is longer than the gallery; here a list ends with the gallery,
    and the query is left out by its index.

    Time grows as Q·N·(D + log of the largest class), in float64; memory stays bounded.

    Args:
        query: (Q, D) floating point; the work is done on its device.
        query_labels: (Q,) integer.
        gallery: (N, D) floating point; None searches the queries themselves.
        gallery_labels: (N,) integer; given exactly if ``gallery`` is.
        names: of ``CUTOFFS``.
        image_ids: what a query leaves out, as in ``retrieval_metrics``.
        distance: ``cosine`` (rows normalised) or ``euclidean`` (raw embeddings). Equal ones are ordered by
            lower index.
        chunk_size: queries per block; None chooses it from the size of the gallery.
        together: whether all processes call this with the same arguments, and divide the blocks among them; the
            result is that of one process to the bit.

    Returns:
        name → fraction 0..1.

    Raises:
        ValueError: shapes that do not fit, embeddings that are not finite, an unknown name or distance.
    """
    names = [CUTOFFS.canonical(name) for name in names]
    given = (query, query_labels, gallery, gallery_labels)
    ranking = make_ranking(*given, image_ids=image_ids, recall_ks=(), num_neighbours=0, distance=distance)
    scores, positives = ranking.scores, ranking.positives
    block_rows = chunk_size or scores.rows_per_block(_BLOCK_BYTES, torch.float64)
    blocks = torch.arange(len(query), device=query.device).split(block_rows)
    sums = torch.zeros(len(blocks), len(names), dtype=torch.float64, device=query.device)
    places = torch.arange(len(blocks))
    for place in (share_of(places) if together else places).tolist():
        rows = blocks[place]
        rank, hits = _positive_ranks(scores, rows, positives)
        size = positives.num[rows, None] + int(gallery is None)
        precision = hits / rank / size.clamp_min(1)
        for i, name in enumerate(names):
            sums[place, i] = (precision * (rank <= _length(CUTOFFS[name], size))).sum()
    totals = torch.zeros_like(sums[0])
    for block_sums in add_shares(sums) if together else sums:
        totals += block_sums
    return dict(zip(names, (totals / len(query)).tolist(), strict=True))


def _length(cutoff: Cutoff, class_size: Tensor) -> Tensor | float:
    if cutoff.class_size:
        return class_size
    return torch.inf if cutoff.length is None else cutoff.length


def _positive_ranks(scores: SimilarityScores, rows: Tensor, positives: Positives) -> tuple[Tensor, Tensor]:
    """Where the positives of the queries ``rows`` (r,) stand.

    Returns:
        rank (r, P) float64 from 1, inf where a query has fewer than P positives; hits up to there (r, P), 0 likewise.
    """
    block = scores.block(rows, torch.float64)
    items = positives.of_class
    slot = torch.arange(max(1, int(items.size[rows].max())), device=rows.device)
    columns = items.order[(items.start[rows, None] + slot).clamp_max(len(items.order) - 1)]
    present = (slot < items.size[rows, None]) & (block.gather(1, columns) > -torch.inf)
    above, unclear = _negatives_above(block, columns, present, 2 * scores.tolerance(torch.float64))
    if unclear.any():
        exact = _by_lower_index(scores.exact_rows(rows[unclear]))
        above[unclear] = _negatives_above(exact, columns[unclear], present[unclear], 0.0)[0]
    num = present.sum(1, keepdim=True)
    hits = (num - slot).clamp_min(0).double()  # the slots run from the farthest positive to the nearest
    rank = (above + hits).masked_fill(slot >= num, torch.inf)
    return rank, hits


def _negatives_above(block: Tensor, columns: Tensor, present: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """How many negatives score higher than each positive, the farthest positive first: (r, P) int64; and whether
    a negative scores the same as a positive, or so but for the margin: (r,) bool.

    Every negative is sorted in among the P positives, which costs log P. Overwrites ``block`` (r, N).
    """
    positive = block.gather(1, columns).masked_fill_(~present, torch.inf).sort(1).values
    block[present.nonzero()[:, 0], columns[present]] = -torch.inf
    below = torch.searchsorted(positive, block)  # (r, N) positives that score less than each item
    last = positive.shape[1] - 1
    neighbours = (positive.gather(1, below.clamp_max(last)), positive.gather(1, (below - 1).clamp_min(0)))
    close = torch.stack([(block - score).abs_().min(1).values for score in neighbours]).amin(0) <= margin
    num_bins = positive.shape[1] + 1
    below += num_bins * torch.arange(len(block), device=block.device)[:, None]
    count = below.flatten().bincount(minlength=num_bins * len(block)).view(-1, num_bins)
    return block.shape[1] - count.cumsum(1)[:, :-1], close


def _by_lower_index(block: Tensor) -> Tensor:
    """Other scores (r, N) of the same order, in which equal ones of ``block`` fall with their index."""
    order = block.sort(dim=1, descending=True, stable=True).indices
    place = torch.arange(block.shape[1], dtype=block.dtype, device=block.device).expand_as(block)
    return torch.empty_like(block).scatter_(1, order, -place)
