"""How losses compare samples with each other and with proxies; a loss is given one such object.

Rows are what a network says of the images of a batch: (B, width) with ``width(D)`` = D, unless a similarity says
more of an image than its embedding. Columns are the batch itself, rows of a memory, or (C, D) proxies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from dml.normalize import cosine_similarity_matrix, widen


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


class DotProductSimilarity(Similarity):
    """Inner products and Euclidean distances of rows as they are."""

    def similarities(self, rows: Tensor, columns: Tensor) -> Tensor:
        """x_i · y_j."""
        return widen(rows) @ widen(columns).T

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """‖x_i − y_j‖; exact zeros for equal rows where ``columns`` is ``rows``."""
        origin = rows.detach().mean(0)  # distances do not change with it, and keep their digits near it
        x = widen(rows - origin)
        y = x if columns is rows else widen(columns - origin)
        products = x @ y.T
        own = products.diagonal() if columns is rows else x.square().sum(1)
        other = own if columns is rows else y.square().sum(1)
        return safe_root(own[:, None] + other - 2 * products)


def safe_root(squares: Tensor) -> Tensor:
    """Square root with value and gradient 0 where ``squares`` ≤ 0."""
    positive = squares > 0
    return torch.where(positive, squares, 1).sqrt() * positive
