"""How losses compare samples with each other and with proxies; a loss is given one such object.

Rows are what a network says of the images of a batch: (B, width) with ``width(D)`` = D, unless a similarity says
more of an image than its embedding. Columns are the batch itself, rows of a memory, or (C, D) proxies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from dml.errors import UserError
from dml.losses.distances import own_distances, own_products, safe_root, squared_distances
from dml.normalize import EPS, cosine_similarity_matrix, l2_normalize_clamped, widen

_NEAREST = 1e-12  # squared distance below which two embeddings are taken for equal
_OFFSET = 1e-6  # of torch's PairwiseDistance


class Similarity(ABC):
    """Similarities, higher is nearer, and the distances that go with them. All cost O(B·M·D) time, O(B·M) memory."""

    def width(self, embedding_size: int) -> int:
        """Length of a row that describes an image, for embeddings of ``embedding_size``."""
        return embedding_size

    @abstractmethod
    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(B, width) rows and (M, width) rows or (M, D) proxies → (B, M), in float32 or wider."""

    @abstractmethod
    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The same for distances ≥ 0, whose gradient is 0 where they are 0."""


class CosineSimilarity(Similarity):
    """Cosines of rows of any norm, and the distances sqrt(2 − 2 cos) between their directions."""

    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """n_eps(x_i) · n_eps(y_j)."""
        return cosine_similarity_matrix(rows, columns)

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Chords between unit vectors: 0..2."""
        return safe_root(2 - 2 * self.similarities(rows, columns))


class UnitVectors(Similarity):
    """Inner products and Euclidean distances of rows brought to unit length, to the bit as pytorch-metric-learning
    computes them by default; distances of (near) copies keep few digits."""

    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """n_clamp(x_i) · n_clamp(y_j)."""
        units = l2_normalize_clamped(widen(rows))
        return own_products(units) if columns is rows else units @ l2_normalize_clamped(widen(columns)).T

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖n_clamp(x_i) − n_clamp(y_j)‖."""
        units = l2_normalize_clamped(widen(rows))
        return own_distances(units) if columns is rows else torch.cdist(units, l2_normalize_clamped(widen(columns)))


class DotProductSimilarity(Similarity):
    """Inner products and Euclidean distances of rows as they are."""

    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """x_i · y_j."""
        return widen(rows) @ widen(columns).T

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖x_i − y_j‖; exact zeros for equal rows where ``columns`` is ``rows``."""
        return safe_root(squared_distances(rows, columns))


class OffsetDistance(DotProductSimilarity):
    """``‖x_i − y_j + 1e-6 · 1‖``, as torch's ``PairwiseDistance`` computes it; not quite symmetric."""

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖x − y‖² + 2 · 1e-6 · Σ_d (x − y)_d + D · 1e-12, under the root."""
        sums, other_sums = rows.sum(1), columns.sum(1)
        squares = super().distances(rows, columns).square()
        return safe_root(squares + 2 * _OFFSET * (sums[:, None] - other_sums) + rows.shape[1] * _OFFSET**2)


class IntrospectiveSimilarity(Similarity):
    """Cosines that grow with uncertainty (Wang et al., Introspective Deep Metric Learning; METHODS §15).

    A row is [x | V]: an embedding x and, as long, its uncertainty V. With μ the squared distance of two embeddings
    as given and v the squared length of the sum of their uncertainties,

        c̃ = 1 − (1 − cos) · exp(−(v + γ) / (τ μ)),

    between the cosine and 1: what is uncertain counts as alike. The uncertainty of a proxy is zero. Where two
    embeddings meet (μ → 0), as each does itself, c̃ is 1 with gradient 0. Its distances are sqrt(2 − 2 c̃).

    NOTE: as in the published code, not the paper: squared norms, γ inside the exponent, damping applied to 1 − cos,
    and proxies that enter μ at their full length. It has formulas for proxies alone; those for pairs are ours.

    Args:
        gamma: γ, at least 0: how alike even the most certain samples are taken to be.
        tau: τ, above 0: how little uncertainty counts.

    Raises:
        UserError: γ or τ out of range.
    """

    def __init__(self, *, gamma: float = 4.0, tau: float = 5.0):
        if gamma < 0 or tau <= 0:
            raise UserError(f"gamma must be at least 0 and tau above 0, got {gamma} and {tau}")
        self.gamma, self.tau = gamma, tau

    def width(self, embedding_size: int) -> int:
        """2 D: embedding and uncertainty."""
        return 2 * embedding_size

    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """c̃ of (B, 2 D) rows with (M, 2 D) rows or (M, D) proxies: (B, M), exactly 1 of a row with itself."""
        return 1 - self._dissimilarities(rows, columns)

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """sqrt(2 − 2 c̃): 0..2."""
        return safe_root(2 * self._dissimilarities(rows, columns))

    def _dissimilarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """(B, M) 1 − c̃, without the cancellation where it is small."""
        x, uncertainty = widen(rows).chunk(2, dim=1)
        if columns.shape[1] == rows.shape[1]:
            y, other_uncertainty = widen(columns).chunk(2, dim=1)
            total = _squared_sums(uncertainty, other_uncertainty)  # (B, M) ‖V_i + V_j‖²
        else:
            y, total = widen(columns), uncertainty.square().sum(1, keepdim=True)  # (B, 1) ‖V_i‖²
        products, squares, other_squares = x @ y.T, x.square().sum(1), y.square().sum(1)
        cosines = products * torch.rsqrt(squares + EPS)[:, None] * torch.rsqrt(other_squares + EPS)
        apart = torch.sub(squares[:, None] + other_squares, products, alpha=2).clamp_min(_NEAREST)  # μ
        damping = ((total + self.gamma) / -self.tau / apart).exp()
        if columns is rows:  # rounding would leave something of the distance to itself
            damping = damping.masked_fill(torch.eye(len(rows), dtype=torch.bool, device=rows.device), 0.0)
        return (1 - cosines) * damping


def _squared_sums(a: Tensor, b: Tensor) -> Tensor:
    """(B, M) ‖a_i + b_j‖² of (B, D) and (M, D), without a tensor of (B, M, D)."""
    return (a.square().sum(1)[:, None] + b.square().sum(1) + 2 * a @ b.T).clamp_min(0)
