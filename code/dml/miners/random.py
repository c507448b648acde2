"""Random triplets (METHODS §18)."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.miners.contract import Triplets
from dml.miners.drawing import relations
from dml.miners.spec import MinerSpec

_MOST_PERMUTED = 2**20


class RandomMiner:
    """B distinct triplets, uniform over all (anchor, positive, negative) of the batch.

    Costs O(B²): the possible triplets are numbered, never listed, and no more numbers are drawn than are needed.

    NOTE: up to 2²⁰ possible triplets their numbers are permuted, which gives the draws of earlier versions; that takes
    seconds for the 75 million of a batch of 2,000.
    NOTE: a batch with fewer than B triplets gives all of them; the published code fails on it.
    """

    gives = "triplets"

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        num_negatives = negatives.sum(dim=1)
        ends = (positives.sum(dim=1) * num_negatives).cumsum(0)  # (B,) anchor i's triplets end before number ends[i]
        numbers = _distinct(int(ends[-1]), len(labels), labels.device)
        anchors = torch.searchsorted(ends, numbers, right=True)
        number_of_anchor = numbers - torch.cat([ends.new_zeros(1), ends])[anchors]
        return Triplets(
            anchors,
            _members_first(positives)[anchors, number_of_anchor // num_negatives[anchors]],
            _members_first(negatives)[anchors, number_of_anchor % num_negatives[anchors]],
        )


def _distinct(bound: int, number: int, device: torch.device) -> Tensor:
    """``number`` distinct integers of 0..bound−1, uniform, in random order: (number,) int64; all if there are fewer.

    Of many, twice as many are drawn with repetition, and the first of each value counts: such a sequence is one without
    repetition. That so many hold too few values, a batch in more than 2²⁰ of them, does not happen in the life of a
    computer, and is drawn again.
    """
    if bound <= _MOST_PERMUTED or bound < 4 * number:
        return torch.randperm(bound, device=device)[:number]
    while True:
        draws = torch.randint(bound, (2 * number,), device=device)
        values, order = draws.sort(stable=True)
        is_first = torch.ones_like(values, dtype=torch.bool)
        is_first[1:] = values[1:] != values[:-1]
        places = order[is_first].sort().values[:number]
        if len(places) == number:
            return draws[places]


def _members_first(mask: Tensor) -> Tensor:
    """(B, B) int64: column numbers, in each row those of the mask before the others."""
    return mask.int().argsort(dim=1, descending=True, stable=True)


SPEC = MinerSpec(name="random", build=RandomMiner)
