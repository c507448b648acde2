"""What the miners share: who is positive and negative to whom, and random draws from the rows of a table."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.devices import finest_float

STEPS = 2**40


def relations(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two (B, B) bool masks of (B,) labels: the other samples of an anchor's class, and those of other classes."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def minable(positives: Tensor, negatives: Tensor) -> Tensor:
    """(A,) int64: the anchors that have both a positive and a negative."""
    return (positives.any(dim=1) & negatives.any(dim=1)).nonzero().squeeze(1)


def draw(weights: Tensor) -> Tensor:
    """(R,) int64: one column of each row of (R, C) probabilities or of a mask, with probability ∝ its weight.

    By the inverse of the cumulative distribution, in integers: neither rounding nor a device's order of summation can
    make a draw fall on a column without weight, and weights that differ by rounding, as those of one process and of
    several do, hardly ever give another draw. Takes one random number per row, where ``torch.multinomial`` takes one
    per entry. Weights are in steps of 2⁻⁴⁰; smaller ones are never drawn. A row that is NaN, as of a network that has
    diverged, gives its first column, so that the loss can be NaN and the training end with a message.

    Args:
        weights: rows of floats that sum to 1, or of bools of which at least one is set.
    """
    steps = weights.long() if weights.dtype == torch.bool else (weights.nan_to_num() * STEPS).long()
    ends = steps.cumsum(dim=1)
    share = torch.rand(len(weights), 1, dtype=finest_float(weights.device), device=weights.device)
    tickets = (share * ends[:, -1:]).long().minimum(ends[:, -1:] - 1)  # a product can round up to the whole
    return torch.searchsorted(ends, tickets, right=True).squeeze(1)
