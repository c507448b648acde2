"""Introspective classification (Wang et al., Introspective Deep Metric Learning; METHODS §15, last paragraph)."""

from __future__ import annotations

import torch
from torch import Tensor


def damping(
    logits: Tensor, features: Tensor, weight: Tensor, bias: Tensor, uncertainty: Tensor, *, tau: float = 5.0
) -> Tensor:
    """exp(−‖u‖² / (τ ‖f − w_c‖²)): how much of a logit an image's uncertainty leaves, 1 being all of it.

    The squared distances come from the logits themselves, ‖f‖² + ‖w_c‖² − 2 (z_c − b_c), so that a step costs
    O(B·C) more than the plain classifier, and nothing of the size (B, C, F) is made.

    NOTE: the published code reads the class vectors off the layer by giving it the identity matrix, which adds each
    class's bias to all components: its distances are those to w_c + b_c · 1. It does not bound them either.

    Args:
        logits: (B, C) z = f Wᵀ + b.
        features: (B, F) f.
        weight: (C, F) rows w_c of the classifier.
        bias: (C,) b.
        uncertainty: (B, U) u.
        tau: τ > 0.

    Returns:
        (B, C) in 0..1; gradients go to all five.
    """
    own, other = features.square().sum(1)[:, None], weight.square().sum(1)
    # Of a distance smaller than the rounding of its parts nothing is known; and it must not be zero.
    smallest = torch.finfo(logits.dtype).eps * (own + other) + torch.finfo(logits.dtype).tiny
    distances = torch.maximum(own + other - 2 * (logits - bias), smallest.detach())
    return torch.exp(-uncertainty.square().sum(1)[:, None] / (tau * distances))


def introspective_logits(logits: Tensor, factors: Tensor) -> Tensor:
    """1 − (1 − z_c) · factor: the more uncertain an image, the nearer every logit to 1.

    Args:
        logits: (B, C) z.
        factors: (B, C) of ``damping``.
    """
    return 1 - (1 - logits) * factors
