"""Soft-hard triplets (Roth et al., ICML 2020): positives and negatives that lie on the wrong side (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec


def softhard_candidates(distances: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    """Positives farther than the nearest negative, negatives nearer than the farthest positive; all without any.

    Args:
        distances: (A, B) from anchors to samples.
        positives, negatives: (A, B) bool, at least one of each per row.

    Returns:
        two (A, B) bool masks.
    """
    nearest_negative = distances.masked_fill(~negatives, torch.inf).amin(dim=1, keepdim=True)
    farthest_positive = distances.masked_fill(~positives, -torch.inf).amax(dim=1, keepdim=True)
    return (
        _or_all(positives & (distances > nearest_negative), positives),
        _or_all(negatives & (distances < farthest_positive), negatives),
    )


def _or_all(chosen: Tensor, of: Tensor) -> Tensor:
    return chosen | (of & ~chosen.any(dim=1, keepdim=True))


class SofthardMiner:
    """One triplet per anchor with a positive, both partners uniform over the soft-hard candidates. O(B²)."""

    gives = "triplets"

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        near, far = softhard_candidates(distances[anchors], positives[anchors], negatives[anchors])
        return Triplets(anchors, draw(near), draw(far))


SPEC = MinerSpec(name="softhard", build=SofthardMiner)
