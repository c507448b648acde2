"""The angular loss, joined to the N-pair loss."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dml.errors import UserError
from dml.losses.criterion import SetCriterion, mean_norm
from dml.losses.functional import log1p_sum_exp
from dml.losses.spec import LossSpec
from dml.losses.tuples.npair import npair_exponents
from dml.miners import PairSets
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import at_least, between

LARGEST_EXPONENT = 50.0


class AngularLoss(SetCriterion):
    """N-pair + w · angular + λ · mean ‖x‖ (Wang et al., ICCV 2017, Eq. 8; METHODS §17).

    Over pairs (a, p), with t = tan² α and unit vectors x̂, the angular part is the mean of
    ``log(1 + Σ_n exp(4t (x̂_a + x̂_p) · x̂_n − 2 (1 + t) x̂_a · x̂_p))``; the N-pair part compares embeddings as they
    come, its exponents cut at ±50. O(B²·D). It takes no similarity: it is about angles in the embedding space.

    NOTE: the published code fails unless all sets of negatives have one size; here they need not.

    Args:
        alpha: α in degrees, the bound on the angle at the negative.
        angular_weight: w.
        l2: λ.
        num_classes, embedding_size: see ``Criterion``.

    Raises:
        UserError: α outside 0..90.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        alpha: float = 45.0,
        angular_weight: float = 2.0,
        l2: float = 0.005,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size)
        if not 0 < alpha < 90:
            raise UserError(f"--loss_angular_alpha must lie between 0 and 90 degrees, got {alpha}")
        self.squared_tangent = math.tan(math.radians(alpha)) ** 2
        self.angular_weight, self.l2 = angular_weight, l2

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: PairSets) -> Tensor:
        """The penalty is on all samples of the batch, anchors or not."""
        anchors, positives, exponents = npair_exponents(embeddings @ embeddings.T, tuples)
        left_out = exponents == -torch.inf
        cut = exponents.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).masked_fill(left_out, -torch.inf)
        unit = l2_normalize_clamped(embeddings)
        cosines = unit @ unit.T
        t = self.squared_tangent
        angles = 4 * t * (cosines[anchors] + cosines[positives])
        angles = angles - 2 * (1 + t) * cosines[anchors, positives][:, None]
        angular = log1p_sum_exp(angles.masked_fill(left_out, -torch.inf), dim=1).mean()
        return log1p_sum_exp(cut, dim=1).mean() + self.angular_weight * angular + self.l2 * mean_norm(embeddings)


SPEC = LossSpec(
    name="angular_with_npair",
    build=AngularLoss,
    spellings=("angular",),
    recipe="lsd",
    options={
        "loss_angular_alpha": Option(
            "alpha", "bound α on the angle at the negative, in degrees", within=between(0, 90, without="ends")
        ),
        "loss_angular_npair_ang_weight": Option("angular_weight", "weight of the angular part", within=at_least(0)),
        "loss_angular_npair_l2": Option("l2", "weight of the mean length of embeddings", within=at_least(0)),
    },
    miners=("npair",),
    needs_positives=True,
)
