"""Distance-weighted sampling under shuffled labels: a control without any supervision (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.distance import SPEC as DISTANCE
from dml.miners.distance import DistanceMiner
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec


class RandomDistanceMiner(DistanceMiner):
    """Gives the samples each other's labels at random, then one triplet per anchor as the distance miner does.

    Samples alone in their (new) class are left out, which the distance miner does not do. O(B²).

    Args:
        embedding_size, lower_cutoff, upper_cutoff: see ``DistanceMiner``.
    """

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        shuffled = labels[torch.randperm(len(labels), device=labels.device)]
        positives, negatives = relations(shuffled)
        anchors = minable(positives, negatives)
        return Triplets(anchors, draw(positives[anchors]), self.draw_negatives(distances[anchors], negatives[anchors]))


SPEC = MinerSpec(name="random_distance", build=RandomDistanceMiner, options=DISTANCE.options)
