"""Random triplets within a class (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.spec import MinerSpec


class IntraRandomMiner:
    """B triplets of which each is three members of one class, "negative" included, with replacement. O(B log B).

    The class is uniform over those of the batch, however many samples they have; members may coincide.
    """

    gives = "triplets"

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        _, counts = labels.unique(return_counts=True)
        by_class = labels.argsort()
        starts = counts.cumsum(0) - counts
        classes = torch.randint(len(counts), labels.shape, device=labels.device)
        shares = torch.rand(3, len(labels), device=labels.device)
        offsets = (shares * counts[classes]).long().minimum(counts[classes] - 1)  # a product can round up to the count
        return Triplets(*by_class[starts[classes] + offsets])


SPEC = MinerSpec(name="intra_random", build=IntraRandomMiner)
