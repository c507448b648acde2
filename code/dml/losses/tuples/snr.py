"""The signal-to-noise ratio loss."""

from __future__ import annotations

from torch import Tensor

from dml.conditions import Condition
from dml.errors import UserError
from dml.losses.criterion import TripletCriterion
from dml.losses.spec import MARGIN_MINERS, LossSpec
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least


class SNRLoss(TripletCriterion):
    """Triplet loss of noise-to-signal ratios (Yuan et al., CVPR 2019, Eq. 10; METHODS §17).

    With ``ρ(u, v) = Var(u − v) / Var(u)``, the variance that of one vector's D coordinates, a triplet costs
    ``[ρ(a, p) − ρ(a, n) + m]₊``, averaged over triplets that cost anything; ``λ · mean |Σ_d a_d|`` is added. O(T·D).
    It takes no similarity: ρ is a ratio of coordinates' variances.

    NOTE: the published code divides 0 by 0 where no triplet costs anything; here that part is 0 then.

    Args:
        margin: m.
        reg_lambda: λ; the published code sets it to 0 where the miner's name is "distance".
        num_classes, embedding_size: see ``Criterion``.

    Raises:
        UserError: fewer than two coordinates, of which there is no variance.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, margin: float = 0.2, reg_lambda: float = 0.005):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size)
        if embedding_size < 2:
            raise UserError(f"the variance of an embedding needs --embedding-size 2 or more, got {embedding_size}")
        self.margin, self.reg_lambda = margin, reg_lambda

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """NOTE: a variance of the anchor below 1e-12, by which the published code divides, counts as 1e-12."""
        anchors, positives, negatives = (embeddings[positions] for positions in tuples)  # (T, D) each
        noise = (anchors - positives).var(1) - (anchors - negatives).var(1)
        signal = anchors.var(1).clamp_min(1e-12)
        costs = (noise / signal + self.margin).relu()
        balance = anchors.sum(1).abs().mean()
        return costs.sum() / (costs > 0).sum().clamp(min=1) + self.reg_lambda * balance


_UNREGULARIZED_MINERS = ("distance", "random_distance")
_REGULARIZED = Condition(
    lambda settings: settings["miner"] not in _UNREGULARIZED_MINERS,
    "has no effect with --batch_mining {miner}, with which it is 0, as published",
)

SPEC = LossSpec(
    name="signal_to_noise",
    build=SNRLoss,
    spellings=("snr",),
    recipe="lsd",
    options={
        "loss_snr_margin": Option("margin", "margin of the noise-to-signal ratios", within=at_least(0)),
        "loss_snr_reg_lambda": Option(
            "reg_lambda",
            "weight λ of |Σ a|; 0 with distance miners, as published",
            within=at_least(0),
            used_if=(_REGULARIZED,),
        ),
    },
    miners=MARGIN_MINERS,
    fixed_by_miner={name: {"loss_snr_reg_lambda": 0.0} for name in _UNREGULARIZED_MINERS},
    needs_positives=True,
)
