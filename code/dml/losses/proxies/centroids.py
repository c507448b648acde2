"""Similarities of samples to classes of several centroids, without a pass over memory that need not be.

At 11,318 classes of two centroids the centroids are 46 MB and the similarities of a batch of 180 16 MB: beside the
three products what such a loss costs is how often these are read. So norms divide products instead of vectors, and
the gradient is written down here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SHORTEST = 1e-12  # n_clamp


class CentroidScores(torch.autograd.Function):
    """Rows (B, D) as they are, centroids (C, K, D) brought to unit length, and γ → what the classes are to the rows.

    Returns:
        (B, C) ``Σ_k w_k s_k``, s the products with a class's centroids, w their soft-max under s / γ.
        (P, C) products of the pairs of a class's centroids, P = K (K − 1) / 2; of none if they are not wanted.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, centroids: Tensor, gamma: float, with_pairs: bool) -> tuple[Tensor, Tensor]:
        """See the class."""
        inverse = centroids.norm(dim=2).clamp_min_(_SHORTEST).reciprocal_().T.contiguous()  # (K, C)
        kinds, classes = inverse.shape
        products = rows.new_empty(kinds, len(rows), classes)  # s
        for kind in range(kinds):
            torch.mm(rows, centroids[:, kind].T, out=products[kind])
        products *= inverse[:, None]
        weights = (products / gamma).softmax(0)
        scores = torch.linalg.vecdot(weights, products, dim=0) if kinds > 1 else products[0].clone()
        pairs = [
            torch.linalg.vecdot(centroids[:, :-apart], centroids[:, apart:]).T * inverse[:-apart] * inverse[apart:]
            for apart in range(1, kinds if with_pairs else 1)
        ]
        cosines = torch.cat(pairs) if pairs else rows.new_zeros(0, classes)
        ctx.save_for_backward(rows, centroids, inverse, products, weights, scores, cosines)
        ctx.gamma = gamma
        return scores, cosines

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_scores: Tensor, of_cosines: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """``dS / ds_k = w_k (1 + (s_k − S) / γ)``; a centroid's length has no gradient."""
        rows, centroids, inverse, products, weights, scores, cosines = ctx.saved_tensors
        kinds = len(inverse)
        steps = (products - scores).div_(ctx.gamma).add_(1).mul_(weights).mul_(of_scores)  # (K, B, C)
        radial = torch.linalg.vecdot(steps, products, dim=1)  # (K, C)
        steps *= inverse[:, None]
        to_rows, to_centroids = torch.zeros_like(rows), torch.empty_like(centroids)
        for kind in range(kinds):
            to_rows.addmm_(steps[kind], centroids[:, kind])
            torch.mm(steps[kind].T, rows, out=to_centroids[:, kind])
        done = 0
        for apart in range(1, kinds if len(cosines) else 1):
            first, second = inverse[:-apart], inverse[apart:]  # (K − apart, C)
            pulls, along = (part[done : done + len(first)] for part in (of_cosines, of_cosines * cosines))
            shares = (pulls * first * second).T[:, :, None]
            to_centroids[:, :-apart].addcmul_(shares, centroids[:, apart:])
            to_centroids[:, apart:].addcmul_(shares, centroids[:, :-apart])
            radial[:-apart] += along
            radial[apart:] += along
            done += len(first)
        radial *= inverse.square() * (inverse < 1 / _SHORTEST)
        return to_rows, to_centroids.addcmul_(centroids, radial.T[:, :, None], value=-1), None, None
