"""Relaxed contrastive loss (Kim et al., Embedding Transfer with Label Relaxation, CVPR 2021)."""

from __future__ import annotations

from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.distances import pairwise_distances, relative, relaxed_costs, relaxed_exponents
from dml.losses.transfer.contract import Representation, embedding_pair
from dml.losses.transfer.spec import TransferLossSpec
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above


class RelaxedContrastiveLoss(nn.Module):
    """The contrastive loss with the source's similarity in place of "same class" (METHODS §5).

    With w the source's similarity and r the target's relative distance,
    ``(1/B) Σ_{i≠j} w r² + (1 − w) [δ − r]₊²``. The target's embedding is used raw, the source's at unit length.
    O(B²·D) time, O(B²) memory.

    Args:
        sigma: σ, bandwidth of the similarity ``exp(−‖ŝ_i − ŝ_j‖² / σ)``.
        delta: δ, relative distance beyond which dissimilar pairs are let be.
    """

    def __init__(self, *, sigma: float = 1.0, delta: float = 1.0):
        super().__init__()
        if sigma <= 0:
            raise UserError(f"sigma must be positive, got {sigma}")
        self.sigma, self.delta = sigma, delta

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings alone. UserError if they do not fit each other."""
        t, s = embedding_pair(target, source)
        similarity = (-relaxed_exponents(l2_normalize_clamped(s), self.sigma)).exp()
        # On the diagonal the similarity is 1 and the distance 0: it adds nothing, as the sum demands.
        return relaxed_costs(similarity, relative(pairwise_distances(t)), self.delta).sum() / len(t)


SPEC = TransferLossSpec(
    name="relaxed_contrastive",
    build=RelaxedContrastiveLoss,
    spellings=("Relaxed_Contra",),
    options={
        "sigma": Option("sigma", "bandwidth σ of the source's similarity", within=above(0)),
        "delta": Option("delta", "relative distance δ that dissimilar pairs are pushed to", within=above(0)),
    },
)
