"""Euclidean distances between rows, mostly of one batch (METHODS §0). All cost O(B²·D) time and O(B²) memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from dml.normalize import widen

MIN_SQUARE = 1e-12


def squared_distances(rows: Tensor, columns: Tensor | None = None) -> Tensor:
    """(B, D) and (M, D) → (B, M) ‖x_i − y_j‖², from one product; rounding may leave it slightly below 0.

    Distances do not change with the origin, so the mean of the rows is taken as it: embeddings far from 0 then keep
    their digits in float32. Half-precision differences are widened to that. Without columns, or if these are the
    rows, the norms are the product's own diagonal, which makes the diagonal exactly 0 and that of exact duplicates,
    in general, too.
    """
    origin = rows.detach().mean(0)
    x = widen(rows - origin)
    if columns is None or columns is rows:
        products = x @ x.T
        own = other = products.diagonal()
    else:
        y = widen(columns - origin)
        products = x @ y.T
        own, other = x.square().sum(1), y.square().sum(1)
    return own[:, None] + other - 2 * products


def pairwise_distances(x: Tensor) -> Tensor:
    """pd: (B, D) → (B, B) ``sqrt(max(‖x_i − x_j‖², 1e-12))``, 0 on the diagonal.

    The diagonal and pairs at the clamp get no gradient, so exact duplicates have distance 1e-6 and stay finite.
    """
    squares = squared_distances(x)
    diagonal = torch.eye(len(x), dtype=torch.bool, device=x.device)
    return squares.clamp_min(MIN_SQUARE).sqrt().masked_fill(diagonal, 0)


class _OwnProducts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        return rows @ rows.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (rows,) = ctx.saved_tensors
        return (gradient + gradient.T) @ rows


class _OwnDistances(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        distances = torch.cdist(rows, rows)
        ctx.save_for_backward(rows, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        rows, distances = ctx.saved_tensors
        pulls = (gradient / distances).masked_fill_(distances == 0, 0)
        pulls = pulls + pulls.T
        return pulls.sum(1, keepdim=True) * rows - pulls @ rows


def own_products(rows: Tensor) -> Tensor:
    """(B, D) → (B, B) ``x_i · x_j``, of which the gradient is one product where autograd's of ``x @ x.T`` is two."""
    return _OwnProducts.apply(rows)


def own_distances(rows: Tensor) -> Tensor:
    """(B, D) → (B, B) ``torch.cdist(x, x)``, the same to the bit; its gradient, 0 at 0, is one product, not two."""
    return _OwnDistances.apply(rows)


def safe_root(squares: Tensor) -> Tensor:
    """Square root with value and gradient 0 where ``squares`` ≤ 0; of ``squared_distances`` it is cd."""
    positive = squares > 0
    return torch.where(positive, squares, 1).sqrt() * positive


def relaxed_exponents(source: Tensor, sigma: float) -> Tensor:
    """(B, D) unit vectors of the source → (B, B) ``pd² / σ``: pairs are alike to the degree ``w = exp(−that)``."""
    return squared_distances(source).clamp_min(MIN_SQUARE).fill_diagonal_(0) / sigma


def relative(distances: Tensor) -> Tensor:
    """(B, B) distances divided by the mean of their row, its own 0 included, through which gradient flows too."""
    return distances / distances.mean(1, keepdim=True).clamp_min(torch.finfo(distances.dtype).tiny)


def relaxed_costs(similarity: Tensor, distances: Tensor, delta: float) -> Tensor:
    """What pairs cost in the relaxed contrastive losses, ``w r² + (1 − w) [δ − r]₊²`` (METHODS §5, §12).

    Args:
        similarity: (B, B) w in 0..1, to what degree two rows are alike; without gradient.
        distances: (B, B) r, ``relative``.
        delta: δ, beyond which rows that are not alike are let be.
    """
    return similarity * distances.square() + (1 - similarity) * (delta - distances).relu().square()
