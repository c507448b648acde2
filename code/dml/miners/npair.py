"""One positive against the rest, for N-pair losses (Sohn, NeurIPS 2016; METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import PairSets
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec


class NPairMiner:
    """Every sample that has a positive, with one of them, uniform, and all its negatives. O(B²)."""

    gives = "sets"

    def __call__(self, distances: Tensor, labels: Tensor) -> PairSets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        one = torch.zeros_like(positives[anchors]).scatter_(1, draw(positives[anchors])[:, None], True)
        return PairSets(anchors, one, negatives[anchors])


SPEC = MinerSpec(name="npair", build=NPairMiner)
