"""The N-pair loss (Sohn, NeurIPS 2016): without and with a penalty on the embeddings' length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion, SetCriterion, mean_norm
from dml.losses.functional import log1p_sum_exp, room_for
from dml.losses.spec import LossSpec
from dml.miners import PairSets
from dml.options import Option
from dml.ranges import above, at_least


class NPairsLoss(BatchCriterion):
    """Cross-entropy of ``x_a · x_p`` over one pair (a, p) of each class that has one: its first two images.

    The numbers of pytorch-metric-learning's ``NPairsLoss`` over dot products of embeddings as they come, without an l2
    penalty (METHODS §2c). It takes no similarity: its soft-max lives from products without bound. O(B²·D) at most.

    Args:
        num_classes, embedding_size: see ``Criterion``.
    """

    def __init__(self, *, num_classes: int, embedding_size: int):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size)

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """On a GPU rows without a pair fill up a shape that depends on no label, so that nothing waits for it."""
        ordered, places = labels.sort(stable=True)
        follows = ordered[1:] == ordered[:-1]  # (B − 1,) a place and the one before it are of one class
        is_pair = follows & ~torch.cat([torch.zeros_like(follows[:1]), follows[:-1]])  # of its first image and second
        most = room_for(is_pair.sum(), at_most=min(len(labels) // 2, self.num_classes))
        chosen = is_pair.long().argsort(descending=True, stable=True)[:most]
        used = is_pair[chosen]  # (P,)
        products = embeddings[places[chosen]] @ embeddings[places[chosen + 1]].T
        products = products.masked_fill(~used, -torch.inf).masked_fill(~used[:, None], 0.0)
        costs = F.cross_entropy(products, torch.arange(len(used), device=labels.device), reduction="none")
        return (costs * used).sum() / used.sum().clamp_min(1)


def npair_exponents(products: Tensor, tuples: PairSets) -> tuple[Tensor, Tensor, Tensor]:
    """One row per pair (a, p), of which a miner usually gives one for each anchor.

    Args:
        products: (B, B) of the samples.
        tuples: their anchors with positives and negatives.

    Returns:
        (P,) anchors and (P,) positives as positions in the batch; (P, B) x_a · (x_n − x_p), −∞ where n is no
        negative of a.
    """
    rows, positives = tuples.positives.nonzero(as_tuple=True)
    anchors = tuples.anchors[rows]
    differences = products[anchors] - products[anchors, positives][:, None]
    return anchors, positives, differences.masked_fill(~tuples.negatives[rows], -torch.inf)


class NPairLoss(SetCriterion):
    """``mean over (a, p) of log(1 + Σ_n exp(x_a · (x_n − x_p))) + λ · mean ‖x‖`` (Sohn, NeurIPS 2016; METHODS §17).

    O(B²·D). It takes no similarity: it lives from products without bound, which λ keeps from growing.

    Args:
        l2: λ.
        divisor: by which the embeddings are divided first; published: 4 with BN-Inception, else 1.
        num_classes, embedding_size: see ``Criterion``.

    Raises:
        UserError: a divisor that is not positive.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, l2: float = 0.005, divisor: float = 1.0):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size)
        if divisor <= 0:
            raise UserError(f"--loss_npair_divisor must be positive, got {divisor}")
        self.l2, self.divisor = l2, divisor

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: PairSets) -> Tensor:
        """The penalty is on all samples of the batch, anchors or not."""
        embeddings = embeddings / self.divisor
        _, _, exponents = npair_exponents(embeddings @ embeddings.T, tuples)
        return log1p_sum_exp(exponents, dim=1).mean() + self.l2 * mean_norm(embeddings)


SPECS = (
    LossSpec(
        name="npairs_unnormalized",
        build=NPairsLoss,
        spellings=("NPair",),
        recipe="proxy_anchor",
        needs_positives=True,
    ),
    LossSpec(
        name="npair_penalized",
        build=NPairLoss,
        spellings=("npair",),
        recipe="lsd",
        options={
            "loss_npair_l2": Option("l2", "weight of the mean length of embeddings", within=at_least(0)),
            "loss_npair_divisor": Option(
                "divisor", "embeddings are divided by it; 4 with BN-Inception", within=above(0)
            ),
        },
        defaults_by_model={"bn_inception": {"loss_npair_divisor": 4.0}},
        miners=("npair",),
        needs_positives=True,
    ),
)
