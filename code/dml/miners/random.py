"""Random triplets (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.drawing import relations
from dml.miners.spec import MinerSpec


class RandomMiner:
    """B distinct triplets, uniform over all (anchor, positive, negative) of the batch.

    Costs O(B²) and one permutation of the number of possible triplets, which are numbered, never listed.

    NOTE: a batch with fewer than B triplets gives all of them; the published code fails on it.
    """

    gives = "triplets"

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        num_negatives = negatives.sum(dim=1)
        ends = (positives.sum(dim=1) * num_negatives).cumsum(0)  # (B,) anchor i's triplets end before number ends[i]
        numbers = torch.randperm(int(ends[-1]), device=labels.device)[: len(labels)]
        anchors = torch.searchsorted(ends, numbers, right=True)
        number_of_anchor = numbers - torch.cat([ends.new_zeros(1), ends])[anchors]
        return Triplets(
            anchors,
            _members_first(positives)[anchors, number_of_anchor // num_negatives[anchors]],
            _members_first(negatives)[anchors, number_of_anchor % num_negatives[anchors]],
        )


def _members_first(mask: Tensor) -> Tensor:
    """(B, B) int64: column numbers, in each row those of the mask before the others."""
    return mask.int().argsort(dim=1, descending=True, stable=True)


SPEC = MinerSpec(name="random", build=RandomMiner)
