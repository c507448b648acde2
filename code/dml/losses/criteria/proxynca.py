"""ProxyNCA over squared distances, in the form of the Revisiting-DML code base."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.criteria.base import BatchCriterion
from dml.losses.functional import own_class, without_own_class
from dml.losses.similarity import CosineSimilarity, Similarity

SCALE = 3.0  # the published length of embeddings and proxies


class ProxyNCADistanceLoss(BatchCriterion):
    """``mean of ‖x̄ − p̄_y‖² + log Σ_{c≠y} exp(−‖x̄ − p̄_c‖²)`` with x̄ = 3 n(x), p̄ = 3 n(p).

    Movshovitz-Attias et al., ICCV 2017, Eq. 6, at the published scale 3 (METHODS §17); since
    ‖x̄ − p̄‖² = 9 · (2 − 2 cos) it is a function of similarities. It can be negative. O(B·C·D).

    Args:
        num_classes: C, at least 2.
        embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: fewer than 2 classes.
    """

    own_similarity = CosineSimilarity()

    def __init__(self, *, num_classes: int, embedding_size: int, similarity: Similarity | None = None):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if num_classes < 2:
            raise UserError(f"ProxyNCA compares classes: it needs at least 2, got {num_classes}")
        self.proxies = nn.Parameter(torch.randn(num_classes, embedding_size) / 8)

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm."""
        squares = SCALE**2 * (2 - 2 * self.similarity.similarities(embeddings, self.proxies))  # (B, C)
        return (own_class(squares, labels) + without_own_class(-squares, labels).logsumexp(1)).mean()
