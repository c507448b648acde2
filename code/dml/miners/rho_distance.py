"""Rho-regularised distance-weighted sampling (Roth et al., ICML 2020): sometimes a class is spread (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.errors import UserError
from dml.miners.contract import Triplets
from dml.miners.distance import DistanceMiner, cutoff_options
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec
from dml.options import Option
from dml.ranges import between


class RhoDistanceMiner(DistanceMiner):
    """One triplet per anchor, of two kinds; samples alone in their class are left out. O(B²).

    With probability ``switch_probability`` the anchor is its own positive and another sample of its class the
    negative, so that the class is pushed apart; otherwise as the distance miner.

    Args:
        embedding_size, lower_cutoff, upper_cutoff: see ``DistanceMiner``.
        switch_probability: of the first kind, in 0..1, independently for each anchor.

    Raises:
        UserError: a probability outside 0..1.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        lower_cutoff: float = 0.5,
        upper_cutoff: float = 1.4,
        switch_probability: float = 0.2,
    ):
        if not 0 <= switch_probability <= 1:
            raise UserError(f"--miner_rho_distance_cp is a probability between 0 and 1, got {switch_probability}")
        super().__init__(embedding_size=embedding_size, lower_cutoff=lower_cutoff, upper_cutoff=upper_cutoff)
        self.switch_probability = switch_probability

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        same_class = draw(positives[anchors])
        switched = torch.rand(len(anchors), device=anchors.device) < self.switch_probability
        return Triplets(
            anchors,
            torch.where(switched, anchors, same_class),
            torch.where(switched, same_class, self.draw_negatives(distances[anchors], negatives[anchors])),
        )


SPEC = MinerSpec(
    name="rho_distance",
    build=RhoDistanceMiner,
    options={
        **cutoff_options("miner_rho_distance"),
        "miner_rho_distance_cp": Option(
            "switch_probability", "how often a class is pushed apart, in 0..1", within=between(0, 1)
        ),
    },
)
