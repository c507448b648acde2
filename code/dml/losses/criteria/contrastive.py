"""The contrastive loss over the pairs of triplets."""

from __future__ import annotations

from torch import Tensor

from dml.losses.criteria.base import TripletCriterion
from dml.losses.criteria.distances import OffsetDistance
from dml.losses.similarity import Similarity
from dml.miners import Triplets


class ContrastiveTupleLoss(TripletCriterion):
    """``mean [d(a, p) − m₊]₊ + mean [m₋ − d(a, n)]₊`` over triplets (Hadsell et al., CVPR 2006; METHODS §17).

    NOTE: the published distance is torch's ``PairwiseDistance``, which adds 1e-6 to each coordinate of a − p and
    a − n; another similarity's distances are taken as they are. O(B²·D).

    Args:
        pos_margin: m₊, distance below which a positive pair costs nothing.
        neg_margin: m₋, distance beyond which a negative pair costs nothing.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    own_similarity = OffsetDistance()

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        pos_margin: float = 0.0,
        neg_margin: float = 1.0,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.pos_margin, self.neg_margin = pos_margin, neg_margin

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Pairs beyond their margin count as 0 in the means."""
        positive, negative = self.pair_distances(embeddings, tuples)
        return (positive - self.pos_margin).relu().mean() + (self.neg_margin - negative).relu().mean()
