"""Distance-weighted sampling (Wu et al., ICCV 2017): negatives drawn evenly over their distances (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.conditions import Condition
from dml.miners.contract import Triplets
from dml.miners.drawing import draw, relations
from dml.miners.spec import MinerSpec
from dml.options import Option
from dml.ranges import at_least, unbounded

LEAST_DISTANCE = 0.01  # whatever the cutoff: at 0 the density has no reciprocal
CHORD_FLOOR = 1e-12  # of 1 − d²/4, which is 0 for opposite points of the unit sphere


def negative_probabilities(
    distances: Tensor, negatives: Tensor, *, embedding_size: int, lower_cutoff: float = 0.5
) -> Tensor:
    """How likely each sample is an anchor's negative: ∝ 1/q(d), q the density of distances on the unit sphere.

    ln 1/q(d) = (2 − D) ln d − (D − 3)/2 · ln(1 − d²/4).

    NOTE: q ends at d = 2. Beyond, where unnormalised embeddings lie, the published weights are not numbers; here
    they are those of d = 2. NOTE: distances below 0.01 count as that, whatever the cutoff; published for the rho miner.

    Args:
        distances: (A, B) from anchors to samples, ≥ 0.
        negatives: (A, B) bool, each anchor's negatives, at least one.
        embedding_size: D.
        lower_cutoff: distances below it count as it.

    Returns:
        (A, B), rows summing to 1, 0 outside ``negatives``.
    """
    distances = distances.clamp(min=max(lower_cutoff, LEAST_DISTANCE))
    chord = (1 - distances.square() / 4).clamp(min=CHORD_FLOOR)
    log_weights = (2 - embedding_size) * distances.log() - (embedding_size - 3) / 2 * chord.log()
    return log_weights.masked_fill(~negatives, -torch.inf).softmax(dim=1)


class DistanceMiner:
    """One triplet per anchor: a uniform positive, a distance-weighted negative. O(B²) time and memory.

    A sample alone in its class is its own positive, as published. NOTE: in a batch of one class there are no
    triplets; the published code fails there.

    Args:
        embedding_size: D.
        lower_cutoff: distances below it count as it.
        upper_cutoff: NOTE: accepted and without effect, as published.
    """

    gives = "triplets"

    def __init__(self, *, embedding_size: int, lower_cutoff: float = 0.5, upper_cutoff: float = 1.4):
        self.embedding_size, self.lower_cutoff, self.upper_cutoff = embedding_size, lower_cutoff, upper_cutoff

    def draw_negatives(self, distances: Tensor, negatives: Tensor) -> Tensor:
        """(A,) int64: a negative of each anchor, from (A, B) distances and (A, B) bool, of which each row has one."""
        return draw(
            negative_probabilities(
                distances, negatives, embedding_size=self.embedding_size, lower_cutoff=self.lower_cutoff
            )
        )

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = torch.arange(len(labels), device=labels.device)
        if not negatives[:1].any():  # of two classes or more, every sample has a negative
            return Triplets(anchors[:0], anchors[:0], anchors[:0])
        positives.diagonal().copy_(~positives.any(dim=1))
        return Triplets(anchors, draw(positives), self.draw_negatives(distances, negatives))


def cutoff_options(prefix: str) -> dict[str, Option]:
    """The flags of both cutoffs, each ``prefix`` and what it cuts off."""
    return {
        f"{prefix}_lower_cutoff": Option("lower_cutoff", "distances below it count as it", within=at_least(0)),
        f"{prefix}_upper_cutoff": Option(
            "upper_cutoff",
            "accepted and without effect, as published",
            within=unbounded("it is not read"),
            used_if=(Condition(lambda settings: False, "has no effect, as published"),),
        ),
    }


SPEC = MinerSpec(name="distance", build=DistanceMiner, options=cutoff_options("miner_distance"))
