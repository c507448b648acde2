"""The histogram loss."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec
from dml.options import Option
from dml.ranges import at_least


class HistogramLoss(BatchCriterion):
    """How likely a random negative pair is more alike than a random positive one (Ustinova & Lempitsky, NeurIPS 2016).

    Similarities of positive and of negative pairs are spread linearly over the nodes of a grid on −1..1; with the
    two histograms h⁺ and h⁻ the loss is ``Σ_r h⁻_r Σ_{q ≤ r} h⁺_q`` (Eq. 2–4; METHODS §17). O(B²·D + R).

    NOTE: published code finds bins by exact equality of floating-point numbers, which only holds where 2 / (R − 1)
    is exact (R = 65, 33, …); here any R ≥ 2 works. NOTE: similarities outside −1..1, which vectors longer than 1
    can have, count at the ends of the grid instead of not at all. NOTE: without positive or without negative pairs
    the loss is 0.

    Args:
        nbins: R, nodes of the grid.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: fewer than 2 nodes.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, nbins: int = 65, similarity: Similarity | None = None):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if nbins < 2:
            raise UserError(f"--loss_histogram_nbins must be at least 2, got {nbins}")
        self.nbins = nbins

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Each unordered pair of the batch counts once."""
        first, second = torch.triu_indices(len(labels), len(labels), 1, device=labels.device)
        similarities = self.similarity.similarities(embeddings, embeddings)[first, second]
        same = labels[first] == labels[second]
        return (self._histogram(similarities, ~same) * self._histogram(similarities, same).cumsum(0)).sum()

    def _histogram(self, similarities: Tensor, counted: Tensor) -> Tensor:
        """(R,) shares of the ``counted`` of (P,) similarities at each node; all 0 if none is."""
        counted = counted.to(similarities.dtype)
        position = (similarities.clamp(-1, 1) + 1) * ((self.nbins - 1) / 2)  # in steps of the grid
        below = position.detach().nan_to_num().floor().clamp(max=self.nbins - 2)  # NaN is no node's number
        upper = (position - below) * counted
        lower = counted - upper
        nodes, zeros = below.long(), position.new_zeros(self.nbins)
        shares = zeros.scatter_add(0, nodes, lower).scatter_add(0, nodes + 1, upper)
        return shares / counted.sum().clamp(min=1)


SPEC = LossSpec(
    name="histogram_overlap",
    build=HistogramLoss,
    spellings=("histogram",),
    recipe="lsd",
    options={"loss_histogram_nbins": Option("nbins", "nodes of the grid on −1..1", within=at_least(2))},
    needs_positives=True,
)
