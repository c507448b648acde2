"""The margin loss of distance-weighted sampling, with a learned boundary per class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.losses.criteria.base import TripletCriterion
from dml.losses.criteria.distances import SmoothedDistance
from dml.losses.similarity import Similarity
from dml.miners import Triplets


class MarginLoss(TripletCriterion):
    """Margin loss (Wu et al., ICCV 2017, Eq. 6; METHODS §17).

    With β the boundary of the anchor's class, a triplet costs ``[d(a, p) − β + m]₊ + [β − d(a, n) + m]₊``; the sum
    is divided by the number of triplets in which either part is positive. O(B²·D).

    NOTE: the paper divides by the number of positive parts (a triplet can have two); published code adds booleans,
    which makes it the number of triplets. NOTE: with ν ≠ 0 the published code stops at a misspelt name; here
    ν · Σ_c β_c is added, as it was meant.

    Args:
        margin: m.
        beta: β, where it begins.
        beta_constant: whether it stays there; else it is learned, one per class.
        nu: ν, weight of Σ β where it is learned.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    own_similarity = SmoothedDistance()

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.2,
        beta: float = 1.2,
        beta_constant: bool = False,
        nu: float = 0.0,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.margin, self.nu = margin, nu
        self.beta = beta if beta_constant else nn.Parameter(torch.full((num_classes,), float(beta)))

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """0, but for ν · Σ β, where all triplets keep the margin."""
        positive, negative = self.pair_distances(embeddings, tuples)
        learned = isinstance(self.beta, Tensor)
        boundary = self.beta[labels[tuples.anchors]] if learned else self.beta  # (T,), or one number
        too_far = (positive - boundary + self.margin).relu()
        too_near = (boundary - negative + self.margin).relu()
        costing = ((too_far > 0) | (too_near > 0)).sum()
        loss = (too_far + too_near).sum() / costing.clamp(min=1)
        return loss + self.nu * self.beta.sum() if learned else loss
