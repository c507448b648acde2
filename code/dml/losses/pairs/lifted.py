"""The lifted structure loss in its generalised form."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.losses.criterion import SetCriterion, mean_norm
from dml.losses.similarity import OffsetDistance, Similarity
from dml.losses.spec import LossSpec
from dml.miners import PairSets
from dml.options import Option
from dml.ranges import at_least


class LiftedStructureLoss(SetCriterion):
    """``mean_a [log Σ_p exp d(a, p) + log Σ_n exp(m − d(a, n))]₊ + λ · mean ‖x‖``.

    Song et al., CVPR 2016, in the form of Hermans et al., 2017, Eq. 6 (METHODS §17). O(B²·D).

    NOTE: the published distance is torch's ``PairwiseDistance``, which adds 1e-6 to each coordinate. It measures the
    features, as it was meant and as torch computed it up to 1.9; from 1.10 on the published code takes norms over
    the set of samples instead, one for each feature. NOTE: an anchor without a positive or without a negative has
    no sum to take the logarithm of: it costs 0 and still counts in the mean.

    Args:
        neg_margin: m.
        l2: λ, over the embeddings proper.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    own_similarity = OffsetDistance()

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        neg_margin: float = 1.0,
        l2: float = 0.005,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.neg_margin, self.l2 = neg_margin, l2

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: PairSets) -> Tensor:
        """The penalty is on all samples of the batch, anchors or not."""
        distances = self.similarity.distances(embeddings, embeddings)[tuples.anchors]  # (A, B)
        complete = tuples.positives.any(1) & tuples.negatives.any(1)  # (A,)
        filled = ~complete[:, None]  # a sum of nothing has no finite logarithm, nor a gradient
        positive = distances.masked_fill(~(tuples.positives | filled), -torch.inf).logsumexp(1)
        negative = (self.neg_margin - distances).masked_fill(~(tuples.negatives | filled), -torch.inf).logsumexp(1)
        costs = torch.where(complete, (positive + negative).relu(), 0)
        return costs.mean() + self.l2 * mean_norm(embeddings[:, : self.embedding_size])


SPEC = LossSpec(
    name="lifted_structure",
    build=LiftedStructureLoss,
    spellings=("lifted",),
    recipe="lsd",
    options={
        "loss_lifted_neg_margin": Option("neg_margin", "distance at which a negative counts 1", within=at_least(0)),
        "loss_lifted_l2": Option("l2", "weight of the mean length of embeddings", within=at_least(0)),
    },
    miners=("lifted",),
    needs_positives=True,
)
