"""Distance-weighted sampling under shuffled labels: a control without any supervision (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.distance import negative_probabilities
from dml.miners.drawing import draw, minable, relations


class RandomDistanceMiner:
    """Gives the samples each other's labels at random, then one triplet per anchor as the distance miner does.

    Samples alone in their (new) class are left out, which the distance miner does not do. O(B²).

    Args:
        embedding_size: D.
        lower_cutoff: distances below it count as it.
        upper_cutoff: NOTE: accepted and without effect, as published.
    """

    gives = "triplets"

    def __init__(self, *, embedding_size: int, lower_cutoff: float = 0.5, upper_cutoff: float = 1.4):
        self.embedding_size, self.lower_cutoff, self.upper_cutoff = embedding_size, lower_cutoff, upper_cutoff

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        shuffled = labels[torch.randperm(len(labels), device=labels.device)]
        positives, negatives = relations(shuffled)
        anchors = minable(positives, negatives)
        probabilities = negative_probabilities(
            distances[anchors],
            negatives[anchors],
            embedding_size=self.embedding_size,
            lower_cutoff=self.lower_cutoff,
        )
        return Triplets(anchors, draw(positives[anchors]), draw(probabilities))
