"""The triplet loss of squared distances."""

from __future__ import annotations

from torch import Tensor

from dml.losses.criteria.base import TripletCriterion
from dml.losses.similarity import Similarity
from dml.miners import Triplets


class TripletLoss(TripletCriterion):
    """``mean over triplets of [d(a, p)² − d(a, n)² + margin]₊`` (Schroff et al., CVPR 2015, Eq. 3; METHODS §17).

    pytorch-metric-learning's ``TripletMarginLoss`` over squared distances, on any similarity. O(B²·D).

    Args:
        margin: of the squared distances.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, margin: float = 0.2, similarity: Similarity | None = None
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.margin = margin

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Triplets that keep the margin count as 0 in the mean."""
        positive, negative = self.pair_distances(embeddings, tuples)
        return (positive.square() - negative.square() + self.margin).relu().mean()
