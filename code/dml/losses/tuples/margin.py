"""The margin loss of distance-weighted sampling, with a learned boundary per class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.conditions import unless
from dml.losses.criterion import TripletCriterion
from dml.losses.similarity import DotProductSimilarity, Similarity
from dml.losses.spec import MARGIN_MINERS, LossSpec, rate_option
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least, unbounded

_SMOOTHING = 1e-8


class SmoothedDistance(DotProductSimilarity):
    """``sqrt(‖x_i − y_j‖² + 1e-8)``."""

    def distances(self, rows: Tensor, columns: Tensor) -> Tensor:
        """At least 1e-4, with gradient 0 where rows are equal."""
        return (super().distances(rows, columns).square() + _SMOOTHING).sqrt()


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
        beta = self.beta
        learned = isinstance(beta, Tensor)
        boundary = beta[labels[tuples.anchors]] if learned else beta  # (T,), or one number
        too_far = (positive - boundary + self.margin).relu()
        too_near = (boundary - negative + self.margin).relu()
        costing = ((too_far > 0) | (too_near > 0)).sum()
        loss = (too_far + too_near).sum() / costing.clamp(min=1)
        return loss + self.nu * beta.sum() if learned else loss


_LEARNED_BETA = (unless("loss_margin_beta_constant", True),)

SPEC = LossSpec(
    name="margin_per_class",
    build=MarginLoss,
    spellings=("margin",),
    recipe="lsd",
    options={
        "loss_margin_margin": Option("margin", "margin around the boundary β", within=at_least(0)),
        "loss_margin_beta": Option(
            "beta", "boundary β between positives and negatives, where it begins", within=at_least(0)
        ),
        "loss_margin_beta_constant": Option("beta_constant", "do not learn β"),
        "loss_margin_nu": Option(
            "nu", "weight ν of Σ β", within=unbounded("its sign says which way β is to go"), used_if=_LEARNED_BETA
        ),
        "loss_margin_beta_lr": rate_option("learning rate of β", *_LEARNED_BETA),
    },
    has_proxies=False,
    lr_scale=5e-4,
    lr_option="loss_margin_beta_lr",
    lr_is_absolute=True,
    miners=MARGIN_MINERS,
    needs_positives=True,
)
