"""The multi-similarity loss of a batch's hard pairs."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.losses.criteria.base import BatchCriterion
from dml.losses.functional import log1p_sum_exp
from dml.losses.similarity import Similarity


class MultiSimilarityLoss(BatchCriterion):
    """Multi-similarity (Wang et al., CVPR 2019, Eq. 15) over pairs mined with its own margin (METHODS §17).

    A negative is kept if it is more alike than the least alike positive less ε, a positive if it is less alike than
    the most alike negative plus ε. With S the similarity of a kept pair, an anchor costs
    ``1/α · log(1 + Σ₊ exp(−α (S − λ))) + 1/β · log(1 + Σ₋ exp(β (S − λ)))``. O(B²·D).

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
        positives, negatives = self._mined(similarities.detach(), labels)
        offsets = similarities - self.thresh
        pull = log1p_sum_exp((-self.pos_weight * offsets).masked_fill(~positives, -torch.inf), dim=1)
        push = log1p_sum_exp((self.neg_weight * offsets).masked_fill(~negatives, -torch.inf), dim=1)
        costs = pull / self.pos_weight + push / self.neg_weight
        used = positives.any(1) & negatives.any(1)
        return torch.where(used, costs, 0).sum() / used.sum().clamp(min=1)

    def _mined(self, similarities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(B, B) bool each: the kept positives and negatives of each anchor."""
        same = labels[:, None] == labels
        positives = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        hardest_positive = similarities.masked_fill(~positives, torch.inf).amin(1, keepdim=True)
        hardest_negative = similarities.masked_fill(same, -torch.inf).amax(1, keepdim=True)
        return (
            positives & (similarities - self.margin < hardest_negative),
            ~same & (similarities + self.margin > hardest_positive),
        )
