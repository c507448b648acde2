"""The loss of self-taught metric learning (Kim et al., Self-Taught Metric Learning without Labels, CVPR 2022)."""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.distances import relative, relaxed_costs, safe_root, squared_distances
from dml.losses.self_taught.context import contextual_similarity
from dml.losses.self_taught.spec import SelfTaughtSpec
from dml.normalize import l2_normalize_clamped, widen
from dml.options import Option
from dml.ranges import above, at_least


class SelfTaughtTerms(NamedTuple):
    """The parts of the loss, scalars.

    Attributes:
        embedding: relaxed contrastive loss of the embedding head f.
        background: that of the background head g.
        distillation: divergence of f's relations from g's.
    """

    embedding: Tensor
    background: Tensor
    distillation: Tensor

    @property
    def total(self) -> Tensor:
        """½ (embedding + background) + distillation."""
        return (self.embedding + self.background) / 2 + self.distillation


class SelfTaughtLoss(nn.Module):
    """Relaxed contrastive losses of both heads under the teacher's similarity, and self-distillation (METHODS §12).

    With W the contextualised similarity of the teacher's background embeddings and r the distances of a student's
    head relative to the mean of their row, each head has
    ``Σ_{i≠j} W r² + (1 − W) [δ − r]₊² / (B (B − 1))``; the embedding head besides
    ``(1/B) Σ_i KL(softmax_j(−r^g_ij) ‖ softmax_j(−r^f_ij))`` against the background head, which gets no gradient
    from it. O(B²·D + B³) time, O(B²) memory.

    Args:
        sigma: σ, bandwidth of the teacher's similarity; 0: as the teacher's distances are, see
            ``contextual_similarity``.
        delta: δ, relative distance beyond which dissimilar rows are let be.
        num_neighbours: k of the teacher's neighbourhoods, at least 2; published: neighbours per query × views.
        normalize_student: bring the student's embeddings to unit length first.

    Raises:
        UserError: σ negative, δ not positive, or fewer than two neighbours.
    """

    def __init__(
        self, *, sigma: float = 1.0, delta: float = 1.0, num_neighbours: int = 10, normalize_student: bool = False
    ):
        super().__init__()
        if sigma < 0:
            raise UserError(f"--sigma must be positive, or 0, got {sigma}")
        if delta <= 0:
            raise UserError(f"--delta must be positive, got {delta}")
        if num_neighbours < 2:
            raise UserError(f"a neighbourhood needs at least 2 rows of the batch, got {num_neighbours}")
        self.sigma, self.delta = sigma, delta
        self.num_neighbours, self.normalize_student = num_neighbours, normalize_student

    def forward(self, embedding: Tensor, background: Tensor, teacher: Tensor, images: Tensor) -> SelfTaughtTerms:
        """The three terms.

        Args:
            embedding: (B, D) student's head f.
            background: (B, G) student's head g.
            teacher: (B, G') teacher's head g, of any norm; gets no gradient.
            images: (B,) int64, rows with the same number are views of one image.

        Raises:
            ValueError: not as many rows in each, or fewer than two.
        """
        rows = {len(tensor) for tensor in (embedding, background, teacher, images)}
        if len(rows) > 1 or rows == {1}:
            raise ValueError(f"embeddings, teacher's and images need the same number of rows, 2 or more, got {rows}")
        relations = [self._relative_distances(widen(x)) for x in (embedding, background)]
        context = contextual_similarity(
            widen(teacher.detach()), images, sigma=self.sigma, num_neighbours=self.num_neighbours
        )
        pulls = [self._relaxed_contrastive(relation, context.similarity) for relation in relations]
        return SelfTaughtTerms(*pulls, _distillation(*relations))

    def _relative_distances(self, x: Tensor) -> Tensor:
        """(B, D) → (B, B) distances over the mean of their row, the zero to itself included; gradient through both.

        NOTE: rows that all coincide have distances 0 here, where the published code divides 0 by 0.
        """
        if self.normalize_student:
            x = l2_normalize_clamped(x)
        return relative(safe_root(squared_distances(x)))

    def _relaxed_contrastive(self, relation: Tensor, similarity: Tensor) -> Tensor:
        terms = relaxed_costs(similarity, relation, self.delta)
        # The diagonal is constant, but no pair.
        return (terms.sum() - terms.diagonal().sum()) / (len(terms) * (len(terms) - 1))


def _distillation(relation_f: Tensor, relation_g: Tensor) -> Tensor:
    """(B, B), (B, B) → mean over rows of KL(softmax(−r^g) ‖ softmax(−r^f)), over all B entries, at temperature 1."""
    target = F.log_softmax(-relation_g.detach(), 1)
    return F.kl_div(F.log_softmax(-relation_f, 1), target, reduction="batchmean", log_target=True)


SPEC = SelfTaughtSpec(
    name="stml",
    build=SelfTaughtLoss,
    recipe="stml",
    options={
        "sigma": Option(
            "sigma",
            "bandwidth σ of the teacher's similarity; 0: the mean squared distance of the batch's images to each other",
            within=at_least(0),
        ),
        "delta": Option("delta", "relative distance δ that dissimilar pairs are pushed to", within=above(0)),
        "student-norm": Option("normalize_student", "student embeddings of unit length in the loss"),
    },
)
