"""What miners are given and what they give: tuples of a batch, as indices and masks, never as copies of rows."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class Triplets(NamedTuple):
    """T triplets of a batch of B samples.

    Attributes:
        anchors, positives, negatives: (T,) int64 positions in the batch; T may be 0.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor


class PairSets(NamedTuple):
    """A anchors of a batch of B samples, each with a set of positives and a set of negatives.

    Attributes:
        anchors: (A,) int64 positions in the batch; A may be 0.
        positives: (A, B) bool, which samples are an anchor's positives; never the anchor itself.
        negatives: (A, B) bool, which samples are its negatives.
    """

    anchors: Tensor
    positives: Tensor
    negatives: Tensor


class Miner(Protocol):
    """Picks tuples of a batch for a loss; draws from the global generator of the distances' device.

    Attributes:
        gives: "triplets" or "sets".
    """

    gives: str

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets | PairSets:
        """Tuples of the batch.

        Args:
            distances: (B, B) between the samples, detached, 0 on the diagonal.
            labels: (B,) int64.
        """
