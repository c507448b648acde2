"""The scores that define the order of neighbours: one fixed summation for each pair of rows.

In float64, and nothing but operations between elements, whose results IEEE 754 fixes: a library's sum or product adds
up in an order that depends on the block, the number of threads and the device, and copies of a row then differ in
their last digit. Here a score depends on the two rows alone, so that copies tie.

* ``cosine``: rows are normalised as v / sqrt(Σv² + 1e-12), the score is Σ q·g;
* ``euclidean``: the score is −Σ(q − g)².
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

_EPSILON = 1e-12  # of the norm, METHODS §0
_SHORT = 16  # terms from which on a sum goes along the pairs instead of along the terms


def fixed_sum(terms: Tensor) -> Tensor:
    """The sum of each row of ``terms`` (p, D), (p,): the last half is added to the first until one column is left.
    ``terms`` is overwritten."""
    terms = _halve(terms, 1, _SHORT)
    return _halve(terms.T.contiguous(), 0, 1)[0]


def _halve(terms: Tensor, dim: int, until: int) -> Tensor:
    while (width := terms.shape[dim]) > until:
        half = width // 2
        terms.narrow(dim, 0, half).add_(terms.narrow(dim, width - half, half))
        terms = terms.narrow(dim, 0, width - half)
    return terms


def unit_rows(embeddings: Tensor) -> Tensor:
    """``embeddings`` (n, D) normalised for ``cosine``, in float64."""
    rows = embeddings.double()
    return rows / _root(fixed_sum(rows.square()).add_(_EPSILON))[:, None]


def _root(values: Tensor) -> Tensor:
    """Square roots (n,), rounded as IEEE 754 says, which those of torch on a CPU are not."""
    return torch.from_numpy(np.sqrt(values.numpy())) if values.device.type == "cpu" else values.sqrt()


def cosine_scores(query_units: Tensor, gallery_units: Tensor) -> Tensor:
    """Scores (p,) of the pairs of rows of ``unit_rows``, (p, D) each; the first is overwritten."""
    return fixed_sum(query_units.mul_(gallery_units))


def euclidean_scores(query: Tensor, gallery: Tensor) -> Tensor:
    """Scores (p,) of pairs of rows, (p, D) each, of any floating point type."""
    return fixed_sum(query.double().sub(gallery).square_()).neg_()


def distinct_rows(embeddings: Tensor, pieces: int) -> tuple[Tensor, Tensor]:
    """Which rows of ``embeddings`` (N, D) stand for all: (U,) int64, and for each row the place (N,) of the one that
    stands for it and equals it. Looks at ``pieces`` rows at a time. Equal rows can, if rarely, have two that stand for
    them."""
    weights = torch.arange(1, embeddings.shape[1] + 1, device=embeddings.device).double().sqrt_().frac_()
    marks = torch.cat([fixed_sum(piece.double() * weights) for piece in embeddings.split(pieces)])
    order = marks.argsort(stable=True)
    is_new = torch.ones_like(order, dtype=torch.bool)
    for new, here, before in zip(
        is_new[1:].split(pieces), order[1:].split(pieces), order[:-1].split(pieces), strict=True
    ):
        new.copy_((embeddings[here] != embeddings[before]).any(1))
    place = torch.empty_like(order)
    place[order] = is_new.cumsum(0) - 1
    return order[is_new], place
