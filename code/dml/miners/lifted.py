"""Whole classes against the rest, for lifted structure losses (METHODS §18)."""

from __future__ import annotations

from torch import Tensor

from dml.miners.contract import PairSets
from dml.miners.drawing import minable, relations
from dml.miners.spec import MinerSpec


class LiftedMiner:
    """Every sample that has a positive, with all its positives and all its negatives; nothing is drawn. O(B²)."""

    gives = "sets"

    def __call__(self, distances: Tensor, labels: Tensor) -> PairSets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        return PairSets(anchors, positives[anchors], negatives[anchors])


SPEC = MinerSpec(name="lifted", build=LiftedMiner)
