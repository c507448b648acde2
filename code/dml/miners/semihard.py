"""Semi-hard negatives (Schroff et al., CVPR 2015): farther than the positive, but within the margin (METHODS §18)."""

from __future__ import annotations

from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec


def semihard_candidates(distances: Tensor, negatives: Tensor, positive_distances: Tensor, margin: float) -> Tensor:
    """(A, B) bool: the negatives with d_ap < d_an < d_ap + margin, or all of them where there is none.

    Args:
        distances: (A, B) from anchors to samples.
        negatives: (A, B) bool.
        positive_distances: (A,) from each anchor to its positive.
        margin: of the loss that the triplets are for.
    """
    near = positive_distances[:, None]
    semihard = negatives & (distances > near) & (distances < near + margin)
    return semihard | (negatives & ~semihard.any(dim=1, keepdim=True))


class SemihardMiner:
    """One triplet per anchor: a uniform positive and a uniform semi-hard negative, any negative without one. O(B²).

    NOTE: samples alone in their class are left out; the published code fails on them.

    Args:
        margin: of the loss that the triplets are for.
    """

    gives = "triplets"

    def __init__(self, *, margin: float):
        self.margin = margin

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        chosen = draw(positives[anchors])
        candidates = semihard_candidates(
            distances[anchors], negatives[anchors], distances[anchors, chosen], self.margin
        )
        return Triplets(anchors, chosen, draw(candidates))


SPEC = MinerSpec(name="semihard", build=SemihardMiner)
