"""Euclidean distances with the small terms that published criteria add to them."""

from __future__ import annotations

from torch import Tensor

from dml.losses.similarity import DotProductSimilarity, safe_root

OFFSET = 1e-6  # of torch's PairwiseDistance
SMOOTHING = 1e-8


class OffsetDistance(DotProductSimilarity):
    """``‖x_i − y_j + 1e-6 · 1‖``, as torch's ``PairwiseDistance`` computes it; not quite symmetric."""

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖x − y‖² + 2 · 1e-6 · Σ_d (x − y)_d + D · 1e-12, under the root."""
        sums, other_sums = rows.sum(1), columns.sum(1)
        squares = super().distances(rows, columns).square()
        return safe_root(squares + 2 * OFFSET * (sums[:, None] - other_sums) + rows.shape[1] * OFFSET**2)


class SmoothedDistance(DotProductSimilarity):
    """``sqrt(‖x_i − y_j‖² + 1e-8)``."""

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """At least 1e-4, with gradient 0 where rows are equal."""
        return (super().distances(rows, columns).square() + SMOOTHING).sqrt()
