"""The quadruplet loss, as published with the criteria and as its paper has it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from dml.losses.criterion import TripletCriterion
from dml.losses.similarity import Similarity
from dml.losses.spec import TRIPLET_MINERS, LossSpec
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least


class _Quadruplet(TripletCriterion):
    """``mean_t [d(a, p) − d(a, n) + α₁]₊``, to which each form adds its part of fourth samples."""

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin_alpha_1: float = 0.2,
        margin_alpha_2: float = 0.2,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.margin_alpha_1, self.margin_alpha_2 = margin_alpha_1, margin_alpha_2

    def _triplet_part(self, distances: Tensor, triplets: Triplets) -> tuple[Tensor, Tensor]:
        """The first part, and the (T,) distances of anchors to positives that the second compares too."""
        anchors, positives, negatives = triplets
        positive = distances[anchors, positives]
        return (positive - distances[anchors, negatives] + self.margin_alpha_1).relu().mean(), positive


class QuadrupletAsPublished(_Quadruplet):
    """The quadruplet loss as the Revisiting-DML code base computes it (METHODS §17). O(B²·D + T²).

    NOTE: two slips, both kept, for the published spelling is the published function. The fourth sample of triplet i
    is drawn among the numbers j of *triplets* with another negative, and j then taken as a position in the batch,
    whatever its class; and the second part, meant for each triplet with its own fourth sample, is the mean over all
    T × T combinations: ``mean_ij [d(a_i, p_i) − d(n_i, f_j) + α₂]₊``. ``QuadrupletLoss`` is the paper's.
    NOTE: the published code needs T = B; here j is drawn below B, and a triplet without such a j is left out.

    Args:
        margin_alpha_1, margin_alpha_2: α₁, α₂.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Draws the fourth samples from the global generator of the device."""
        candidates = (tuples.negatives[:, None] != tuples.negatives)[:, : len(labels)]  # (T, min(T, B))
        drawn = candidates.any(1)
        fourth = torch.multinomial((candidates | ~drawn[:, None]).float(), 1).squeeze(1)
        return self.with_fourth(embeddings, tuples, fourth, drawn)

    def with_fourth(self, embeddings: Tensor, triplets: Triplets, fourth: Tensor, drawn: Tensor) -> Tensor:
        """The loss of T triplets with (T,) positions of fourth samples, of which those not ``drawn`` are left out."""
        distances = self.similarity.distances(embeddings, embeddings)  # (B, B)
        first, positive = self._triplet_part(distances, triplets)
        beyond = distances[triplets.negatives][:, fourth]  # (T, T): n_i to f_j
        costs = (positive[:, None] - beyond + self.margin_alpha_2).relu() * drawn
        return first + costs.sum() / (len(positive) * drawn.sum()).clamp(min=1)


class QuadrupletLoss(_Quadruplet):
    """``mean_t [d(a, p) − d(a, n) + α₁]₊ + mean_t [d(a, p) − d(n, f) + α₂]₊`` (Chen et al., CVPR 2017, Eq. 6).

    The fourth sample f is of a class that is neither the anchor's nor the negative's. NOTE: the second part is its
    expected value over an f drawn uniformly from the batch; a triplet without any f is left out of it. O(B²·D + T·B).

    Args:
        margin_alpha_1, margin_alpha_2: α₁, α₂.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Distances are not squared."""
        distances = self.similarity.distances(embeddings, embeddings)  # (B, B)
        first, positive = self._triplet_part(distances, tuples)
        anchor_class, negative_class = labels[tuples.anchors], labels[tuples.negatives]
        fourth = (anchor_class[:, None] != labels) & (negative_class[:, None] != labels)  # (T, B)
        costs = (positive[:, None] - distances[tuples.negatives] + self.margin_alpha_2).relu() * fourth
        counts = fourth.sum(1)
        return first + (costs.sum(1) / counts.clamp(min=1)).sum() / (counts > 0).sum().clamp(min=1)


_AS_PUBLISHED = LossSpec(
    name="quadruplet_all_combinations",
    build=QuadrupletAsPublished,
    spellings=("quadruplet",),
    recipe="lsd",
    options={
        "loss_quadruplet_margin_alpha_1": Option(
            "margin_alpha_1", "margin to the triplet's negative", within=at_least(0)
        ),
        "loss_quadruplet_margin_alpha_2": Option(
            "margin_alpha_2", "margin to pairs of other classes", within=at_least(0)
        ),
    },
    miners=TRIPLET_MINERS,
    needs_positives=True,
)

SPECS = (_AS_PUBLISHED, replace(_AS_PUBLISHED, name="quadruplet_sound", build=QuadrupletLoss, spellings=()))
