"""Multi-similarity (Wang et al., CVPR 2019): soft sums over the hard pairs of each sample, in three published forms.

With ε the margin of the mining, α and β the scales and λ the threshold, an anchor with positives and negatives at
similarities S costs ``1/α · log(1 + Σ₊ exp(−α (S − λ))) + 1/β · log(1 + Σ₋ exp(β (S − λ)))`` (Eq. 15); a negative is
kept if it is more alike than the least alike positive less ε, a positive if it is less alike than the most alike
negative plus ε.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dml.losses.criterion import BatchCriterion
from dml.losses.functional import log1p_sum_exp, pairs_of
from dml.losses.memory import MEMORY_OPTIONS, PUBLISHED_SIZE
from dml.losses.pairs.with_memory import PairLossWithMemory
from dml.losses.similarity import Similarity, UnitVectors
from dml.losses.spec import LossSpec
from dml.options import Option
from dml.ranges import above, at_least, unbounded


def mine_pairs(similarities: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The positives and negatives that violate the order of the hardest of the other kind by the margin ε.

    Args:
        similarities: (B, M) of anchors and samples, detached.
        positives, negatives: (B, M) bool; without any of one kind, all of the other are left out.
    """
    hardest_positive = similarities.masked_fill(~positives, torch.inf).amin(1, keepdim=True)
    hardest_negative = similarities.masked_fill(~negatives, -torch.inf).amax(1, keepdim=True)
    return (
        positives & (similarities - margin < hardest_negative),
        negatives & (similarities + margin > hardest_positive),
    )


def anchor_costs(
    similarities: Tensor, positives: Tensor, negatives: Tensor, *, scale_pos: float, scale_neg: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """What each anchor costs, 0 without a positive or without a negative, and whether it has both.

    Args:
        similarities: (B, M) of anchors and samples.
        positives, negatives: (B, M) bool, the pairs that are kept.
        scale_pos, scale_neg, threshold: α, β, λ.

    Returns:
        (B,) costs and (B,) bool.
    """
    pull, push = pull_and_push(
        similarities, positives, negatives, scale_pos=scale_pos, scale_neg=scale_neg, threshold=threshold
    )
    complete = positives.any(1) & negatives.any(1)
    return torch.where(complete, pull + push, 0.0), complete


def pull_and_push(
    similarities: Tensor, positives: Tensor, negatives: Tensor, *, scale_pos: float, scale_neg: float, threshold: float
) -> tuple[Tensor, Tensor]:
    """(B,) what each anchor's positives cost, and (B,) its negatives; 0 without any. Arguments: ``anchor_costs``."""
    centred = similarities - threshold
    pull = log1p_sum_exp((-scale_pos * centred).masked_fill(~positives, -torch.inf), dim=1)
    push = log1p_sum_exp((scale_neg * centred).masked_fill(~negatives, -torch.inf), dim=1)
    return pull / scale_pos, push / scale_neg


class MultiSimilarityMinedLoss(BatchCriterion):
    """Multi-similarity with α 2, β 50, λ 0.5 on pairs mined with ε 0.1; the mean is over the batch (METHODS §2c).

    The numbers of pytorch-metric-learning's ``MultiSimilarityLoss`` after its ``MultiSimilarityMiner``. An anchor
    that keeps pairs of one kind alone costs what these cost. O(B²·D) time, O(B²) memory.

    NOTE: the library takes a batch that keeps at most one pair of each kind for one without pairs; so does this.

    Args:
        num_classes, embedding_size, similarity: see ``Criterion``; without a similarity cosines.
    """

    own_similarity = UnitVectors()
    scale_pos, scale_neg, threshold, mining_margin = 2.0, 50.0, 0.5, 0.1

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm."""
        similarities = self.similarity.similarities(embeddings, embeddings)  # (B, B)
        pairs = mine_pairs(similarities.detach(), *pairs_of(labels), self.mining_margin)
        pull, push = pull_and_push(
            similarities, *pairs, scale_pos=self.scale_pos, scale_neg=self.scale_neg, threshold=self.threshold
        )
        several = torch.stack([kept.sum() for kept in pairs]).amax() > 1
        return ((pull + push).sum() / max(len(labels), 1)) * several


class MultiSimilarityMemoryLoss(PairLossWithMemory):
    """Multi-similarity of the batch with itself, later with a memory (METHODS §4).

    A sample without a mined positive or negative is left out, and still counts in the mean over the batch.

    Args:
        scale_pos: of positives.
        scale_neg: of negatives.
        threshold: λ, similarity at which a pair weighs 1.
        mining_margin: ε.
        hard_mining: whether pairs are mined at all.
        num_classes, embedding_size, memory_size, memory_from_epoch, similarity: see ``PairLossWithMemory``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        scale_pos: float = 2.0,
        scale_neg: float = 50.0,
        threshold: float = 0.5,
        mining_margin: float = 0.1,
        hard_mining: bool = True,
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
        self.scale_pos, self.scale_neg, self.threshold = scale_pos, scale_neg, threshold
        self.mining_margin, self.hard_mining = mining_margin, hard_mining

    def pair_loss(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(B,) losses. NOTE: the published code crashes where a sample has positives and no negative; here it
        is left out."""
        if self.hard_mining:
            positives, negatives = mine_pairs(similarity.detach(), positives, negatives, self.mining_margin)
        costs, _ = anchor_costs(
            similarity,
            positives,
            negatives,
            scale_pos=self.scale_pos,
            scale_neg=self.scale_neg,
            threshold=self.threshold,
        )
        return costs


class MultiSimilarityLoss(BatchCriterion):
    """Multi-similarity over the pairs of a batch, mined with its own margin (METHODS §17). O(B²·D).

    NOTE: the mean is over anchors that keep both kinds of pairs; the paper divides by B. NOTE: the published code
    fails where an anchor has no positive, or where no anchor is left; here such anchors are left out, and the loss
    of none is 0.

    Args:
        pos_weight: α.
        neg_weight: β.
        margin: ε.
        thresh: λ.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        pos_weight: float = 2.0,
        neg_weight: float = 40.0,
        margin: float = 0.1,
        thresh: float = 0.5,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.pos_weight, self.neg_weight = pos_weight, neg_weight
        self.margin, self.thresh = margin, thresh

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Similarities are those of the embeddings as they come."""
        similarities = self.similarity.similarities(embeddings, embeddings)  # (B, B)
        kept = mine_pairs(similarities.detach(), *pairs_of(labels), self.margin)
        costs, used = anchor_costs(
            similarities, *kept, scale_pos=self.pos_weight, scale_neg=self.neg_weight, threshold=self.thresh
        )
        return costs.sum() / used.sum().clamp(min=1)


SPECS = (
    LossSpec(
        name="multi_similarity_mined",
        build=MultiSimilarityMinedLoss,
        spellings=("MS",),
        recipe="proxy_anchor",
        needs_positives=True,
        with_memory="multi_similarity_memory",
    ),
    LossSpec(
        name="multi_similarity_memory",
        build=MultiSimilarityMemoryLoss,
        recipe="proxy_isa",
        options=MEMORY_OPTIONS,
        with_memory="multi_similarity_memory",
    ),
    LossSpec(
        name="multi_similarity_per_anchor",
        build=MultiSimilarityLoss,
        spellings=("multisimilarity",),
        recipe="lsd",
        options={
            "loss_multisimilarity_pos_weight": Option("pos_weight", "scale of positives", within=above(0)),
            "loss_multisimilarity_neg_weight": Option("neg_weight", "scale of negatives", within=above(0)),
            "loss_multisimilarity_margin": Option(
                "margin", "how far around the hardest pair others are kept", within=at_least(0)
            ),
            "loss_multisimilarity_thresh": Option(
                "thresh",
                "similarity λ between positives and negatives",
                within=unbounded("similarities of embeddings of any length have no bounds"),
            ),
        },
        needs_positives=True,
    ),
)
