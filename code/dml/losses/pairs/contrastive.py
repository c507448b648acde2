"""Contrastive losses (Hadsell et al., CVPR 2006): pairs of a class together, others apart; in three published forms."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.losses.criterion import BatchCriterion, TripletCriterion
from dml.losses.functional import mean_above_zero, pairs_of
from dml.losses.memory import MEMORY_OPTIONS, PUBLISHED_SIZE
from dml.losses.pairs.with_memory import PairLossWithMemory
from dml.losses.similarity import OffsetDistance, Similarity, UnitVectors
from dml.losses.spec import TRIPLET_MINERS, LossSpec
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least


class ContrastiveAllPairsLoss(BatchCriterion):
    """Mean distance of the pairs of a class, plus the mean of ``[0.5 − d]₊`` over the other pairs where it is above 0.

    The numbers of pytorch-metric-learning's ``ContrastiveLoss`` on unit vectors (METHODS §2c): each mean is over
    the pairs that cost something. O(B²·D) time, O(B²) memory.

    Args:
        num_classes, embedding_size, similarity: see ``Criterion``; without a similarity distances of unit vectors.
    """

    own_similarity = UnitVectors()
    neg_margin = 0.5

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm."""
        distances = self.similarity.distances(embeddings, embeddings)  # (B, B)
        positives, negatives = pairs_of(labels)
        pushed = (self.neg_margin - distances).relu()
        return mean_above_zero(distances * positives) + mean_above_zero(pushed * negatives)


class ContrastiveMemoryLoss(PairLossWithMemory):
    """Contrastive over similarities: Σ (1 − s) of positives and Σ s of negatives above a margin (METHODS §4).

    A sample without a positive is left out, its negatives too, and still counts in the mean over the batch.

    Args:
        margin: similarity above which a negative costs.
        num_classes, embedding_size, memory_size, memory_from_epoch, similarity: see ``PairLossWithMemory``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.5,
        memory_size: int = PUBLISHED_SIZE,
        memory_from_epoch: int = 2,
        similarity: Similarity | None = None,
    ):
        super().__init__(
            num_classes=num_classes,
            embedding_size=embedding_size,
            memory_size=memory_size,
            memory_from_epoch=memory_from_epoch,
            similarity=similarity,
        )
        self.margin = margin

    def pair_loss(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(B,) losses."""
        pull = ((1 - similarity) * positives).sum(1)
        push = (similarity * (negatives & (similarity > self.margin))).sum(1)
        return torch.where(positives.any(1), pull + push, 0.0)


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


SPECS = (
    LossSpec(
        name="contrastive_all_pairs",
        build=ContrastiveAllPairsLoss,
        spellings=("Contrastive",),
        recipe="proxy_anchor",
        needs_positives=True,
        with_memory="contrastive_memory",
    ),
    LossSpec(
        name="contrastive_memory",
        build=ContrastiveMemoryLoss,
        recipe="proxy_isa",
        options=MEMORY_OPTIONS,
        with_memory="contrastive_memory",
    ),
    LossSpec(
        name="contrastive_tuples",
        build=ContrastiveTupleLoss,
        spellings=("contrastive",),
        recipe="lsd",
        options={
            "loss_contrastive_pos_margin": Option(
                "pos_margin", "distance below which positives cost nothing", within=at_least(0)
            ),
            "loss_contrastive_neg_margin": Option(
                "neg_margin", "distance beyond which negatives cost nothing", within=at_least(0)
            ),
        },
        miners=TRIPLET_MINERS,
        needs_positives=True,
    ),
)
