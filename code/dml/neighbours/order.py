"""The defining order among gallery items whose scores in a block are too close to tell."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.neighbours.scores import SimilarityScores


def order_of(groups: Tensor, scores: Tensor, columns: Tensor) -> Tensor:
    """The permutation (p,) that sorts by ``groups``, within a group by ``scores``, largest first, and among equal
    ones by ``columns``; (p,) each."""
    order = columns.argsort(stable=True)
    order = order[scores[order].argsort(stable=True, descending=True)]
    return order[groups[order].argsort(stable=True)]


def settle_hits(
    scores: SimilarityScores, rows: Tensor, values: Tensor, columns: Tensor, hits: Tensor, margin: float
) -> Tensor:
    """``hits`` (r, m) bool of the neighbours ``columns`` (r, m) of the queries ``rows`` (r,) in the defining order.

    Neighbours whose scores ``values`` (r, m), largest first, differ by at most the margin may stand in another order.
    Those that hang together so form runs, in which they change places; between runs the order is certain. A run
    matters only if it has hits and others, and only such are scored again.
    """
    close = values[:, :-1] - values[:, 1:] <= margin  # between −inf the difference is NaN, which is not
    first = torch.ones_like(hits)
    first[:, 1:] = ~close
    run = first.flatten().cumsum(0) - 1
    mixed = torch.zeros_like(hits)
    mixed[:, 1:] = close & (hits[:, 1:] != hits[:, :-1])
    matters = run.new_zeros(len(run), dtype=torch.bool)
    matters[run[mixed.flatten()]] = True
    places = matters[run].nonzero().squeeze(1)
    if not len(places):
        return hits
    chosen = columns.flatten()[places]
    exact = scores.pairs(rows[places // columns.shape[1]], chosen)
    settled = hits.flatten()
    settled[places] = settled[places[order_of(run[places], exact, chosen)]]
    return settled.view_as(hits)
