"""What the miners share: who is positive and negative to whom, and random draws from the rows of a table."""

from __future__ import annotations

import torch
from torch import Tensor


def relations(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Two (B, B) bool masks of (B,) labels: the other samples of an anchor's class, and those of other classes."""
    same = labels[:, None] == labels
    return same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device), ~same


def minable(positives: Tensor, negatives: Tensor) -> Tensor:
    """(A,) int64: the anchors that have both a positive and a negative."""
    return (positives.any(dim=1) & negatives.any(dim=1)).nonzero().squeeze(1)


def draw(weights: Tensor) -> Tensor:
    """(R,) int64: one column of each row of (R, C) weights ≥ 0 or a mask, with probability ∝ its weight.

    Every row must hold something positive.
    """
    if not len(weights):
        return torch.empty(0, dtype=torch.int64, device=weights.device)
    return torch.multinomial(weights if weights.is_floating_point() else weights.float(), 1).squeeze(1)
