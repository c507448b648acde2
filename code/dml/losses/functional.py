"""What several losses share: proxies, input checks, masked log-sums that cannot overflow."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def init_proxies(num_classes: int, embedding_size: int) -> nn.Parameter:
    """(C, D) proxies, Kaiming normal over fan_out: N(0, 2 / C) per entry (METHODS §1).

    NOTE: fan_out of a C × D matrix is C, so the proxies' norm shrinks with the number of classes; losses
    normalise them, and the gradient grows as the norm shrinks. Kept as published.
    """
    return nn.Parameter(torch.randn(num_classes, embedding_size) * math.sqrt(2.0 / num_classes))


def redraw_uniformly(proxies: nn.Parameter) -> None:
    """Kaiming uniform with a = √5 in place: U(−1/√D, 1/√D) per entry of (C, D) proxies (METHODS §2).

    NOTE: the published ``--init_type uniform`` never reaches this option of its loss and trains as with ``normal``;
    here it does what it says.
    """
    nn.init.kaiming_uniform_(proxies, a=math.sqrt(5))


def check_batch(embeddings: Tensor, labels: Tensor, num_classes: int, embedding_size: int) -> None:
    """Refuse a batch that does not fit the loss.

    The range of labels is checked on the CPU only: on a GPU it would stop the stream at each step, and
    data sets number their classes 0..C−1 by construction.

    Raises:
        ValueError: wrong shapes, sizes that differ, or labels outside 0..C−1.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != embedding_size:
        raise ValueError(f"embeddings must be (B, {embedding_size}), got {tuple(embeddings.shape)}")
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(f"labels must be ({len(embeddings)},), got {tuple(labels.shape)}")
    if labels.device.type == "cpu" and len(labels):
        low, high = labels.aminmax()
        if low < 0 or high >= num_classes:
            raise ValueError(f"labels must lie in 0..{num_classes - 1}, got {int(low)}..{int(high)}")


def without_own_class(values: Tensor, labels: Tensor) -> Tensor:
    """(B, C) with each sample's own class set to −∞, so that sums of exponentials leave it out; any C, 2 included."""
    return values.scatter(1, labels[:, None], -torch.inf)


def own_class(values: Tensor, labels: Tensor) -> Tensor:
    """(B,) the entry of each sample's own class in (B, C)."""
    return values.gather(1, labels[:, None]).squeeze(1)


def pairs_of(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(B,) labels → (B, B) bool twice: pairs of two samples of a class, and pairs of samples of two classes."""
    same = labels[:, None] == labels
    return same.clone().fill_diagonal_(False), ~same


def room_for(counts: Tensor, *, at_most: int) -> int:
    """The largest of some counts on the CPU; on a GPU, not to wait for it, what none of them exceeds."""
    return int(counts.amax()) if counts.device.type == "cpu" and counts.numel() else at_most


def mean_above_zero(values: Tensor) -> Tensor:
    """Mean of those of some values ≥ 0 that are above 0; 0 of none, with a zero gradient."""
    return values.sum() / (values > 0).sum().clamp_min(1)


def class_counts(labels: Tensor, num_classes: int) -> Tensor:
    """(C,) int64 samples of each class; unlike ``torch.bincount`` it does not wait for a GPU."""
    counts = torch.zeros(num_classes, dtype=torch.int64, device=labels.device)
    return counts.scatter_add(0, labels, torch.ones_like(labels))


def log1p_sum_exp(values: Tensor, dim: int) -> Tensor:
    """``log(1 + Σ exp(values))`` along ``dim``; entries of −∞ are left out, and a sum of none gives 0.

    The largest exponent is taken out first, so float16 and α = 32 do not overflow; gradients are exact, and
    0 for what is left out.
    """
    peak = values.detach().amax(dim, keepdim=True).clamp_min(0)
    total = (values - peak).exp().sum(dim, keepdim=True) + (-peak).exp()
    return (peak + total.log()).squeeze(dim)


def log1p_sum_exp_by_class(values: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """(C,) ``log(1 + Σ exp(values_i))`` over the samples i of each class; 0 for a class without any.

    As stable as ``log1p_sum_exp``, in O(B + C).
    """
    zeros = values.new_zeros(num_classes)
    peak = zeros.scatter_reduce(0, labels, values.detach(), "amax")
    total = (-peak).exp().scatter_add(0, labels, (values - peak[labels]).exp())
    return peak + total.log()
