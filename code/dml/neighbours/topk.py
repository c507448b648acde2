"""The largest few of each row of scores, and where a mask is true."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def kth_largest(scores: Tensor, k: Tensor) -> Tensor:
    """Of each row of ``scores`` (r, N) its ``k``-th (r,) largest, from 1: (r,)."""
    longest = int(k.max())
    if scores.device.type == "cpu":  # NumPy's partition is vectorised, several times faster than topk
        cut = scores.shape[1] - longest
        largest = torch.from_numpy(np.partition(scores.numpy(), cut, axis=1)[:, cut:]).sort(1, descending=True).values
    else:
        largest = scores.topk(longest).values
    return largest.gather(1, k[:, None] - 1).squeeze(1)


def true_places(mask: Tensor) -> Tensor:
    """Where ``mask``, flattened, is true: (p,) int64, ascending."""
    if mask.device.type == "cpu":  # NumPy skips what is false several times faster
        return torch.from_numpy(np.flatnonzero(mask.numpy()))
    return mask.flatten().nonzero().squeeze(1)


def ordered_topk(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row of ``scores`` (r, N), largest first, equal ones by lower index.

    ``Tensor.topk`` leaves the order of equal values open; its answer is kept where no values are equal.

    Returns:
        values (r, k) and indices (r, k) int64.
    """
    values, indices = scores.topk(min(k + 1, scores.shape[1]))
    tied = (values[:, 1:] == values[:, :-1]).any(1).nonzero().squeeze(1)
    values, indices = values[:, :k].contiguous(), indices[:, :k].contiguous()
    if len(tied):
        indices[tied] = _lowest_indices(scores[tied], values[tied])
    return values, indices


def _lowest_indices(scores: Tensor, top: Tensor) -> Tensor:
    """Indices (r, k) of the values ``top`` (r, k) in ``scores`` (r, N), equal ones by lower index."""
    kth = top[:, -1:]
    at_kth = scores == kth
    wanted = (top == kth).sum(1, keepdim=True)
    chosen = (at_kth & (at_kth.cumsum(1, dtype=torch.int32) <= wanted)).logical_or_(scores > kth)
    indices = chosen.nonzero()[:, 1].view(top.shape)
    order = scores.gather(1, indices).sort(dim=1, descending=True, stable=True).indices
    return indices.gather(1, order)
