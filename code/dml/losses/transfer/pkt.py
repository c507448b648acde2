"""Probabilistic knowledge transfer (Passalis and Tefas, ECCV 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from dml.losses.transfer.contract import Representation, embedding_pair
from dml.losses.transfer.spec import TransferLossSpec


class PKTLoss(nn.Module):
    """The target's neighbour probabilities follow the source's in Kullback-Leibler divergence (METHODS §8).

    Probabilities are cosines brought to 0..1, the own one included, and divided by their row's sum. As published,
    the divergence is the mean over all B² entries, not the sum over rows. O(B²·D) time, O(B²) memory.

    Args:
        eps: added to norms and probabilities.
    """

    def __init__(self, *, eps: float = 1e-7):
        super().__init__()
        self.eps = eps

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings alone. ValueError if they do not fit each other."""
        t, s = (self._probabilities(x) for x in embedding_pair(target, source))
        return (s * ((s + self.eps).log() - (t + self.eps).log())).mean()

    def _probabilities(self, x: Tensor) -> Tensor:
        """(B, D) → (B, B), rows of sum 1."""
        unit = x / (x.norm(dim=1, keepdim=True) + self.eps)
        similarity = (unit @ unit.T + 1) / 2
        return similarity / similarity.sum(1, keepdim=True)


SPEC = TransferLossSpec(name="pkt", build=PKTLoss, spellings=("PKT",))
