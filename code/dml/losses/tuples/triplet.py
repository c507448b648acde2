"""The triplet loss (Schroff et al., CVPR 2015): of distances, semi-hard, and of squared distances, with a miner."""

from __future__ import annotations

import torch
from torch import Tensor

from dml.losses.criterion import BatchCriterion, TripletCriterion
from dml.losses.functional import pairs_of, room_for
from dml.losses.similarity import Similarity, UnitVectors
from dml.losses.spec import MARGIN_MINERS, LossSpec
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least


class TripletSemihardLoss(BatchCriterion):
    """Mean of ``d(a, p) − d(a, n) + 0.1`` over semi-hard triplets: the negative beyond the positive, within the margin.

    The numbers of pytorch-metric-learning's ``TripletMarginLoss`` after its ``TripletMarginMiner`` (METHODS §2c), on
    unit vectors. Given the triplets, the sum is linear in the distances: each counts as often as it stands in one. How
    often that is, sorted rows tell, so that no triplet is ever formed: O(B²·(D + log B)) time, O(B²) memory.

    Args:
        num_classes, embedding_size, similarity: see ``Criterion``; without a similarity distances of unit vectors.
    """

    own_similarity = UnitVectors()
    margin = 0.1

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm."""
        distances = self.similarity.distances(embeddings, embeddings)  # (B, B)
        weights = semihard_weights(distances.detach(), *pairs_of(labels), self.margin)
        num_triplets = weights.clamp_min(0).sum()
        # The weights of an anchor sum to 0: taking something from its distances changes nothing but the rounding.
        shares = weights.abs()
        centre = (shares * distances.detach()).sum(1, keepdim=True) / shares.sum(1, keepdim=True).clamp_min(1)
        total = (weights * (distances - centre)).sum()
        return total / num_triplets.clamp_min(1) + self.margin * (num_triplets > 0).to(total.dtype)


def semihard_weights(distances: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """How often each distance stands in a triplet with ``0 < d(a, n) − d(a, p) < margin``: as d(a, p), or less than 0.

    Args:
        distances: (B, B), detached; row a.
        positives, negatives: (B, B) bool, the pairs.

    Returns:
        (B, B) of the distances' type: the number of n for a positive pair, minus the number of p for a negative one.
    """
    ordered, places = distances.masked_fill(~negatives, torch.inf).sort(dim=1)
    most = room_for(positives.sum(1), at_most=len(positives))
    partners = positives.to(distances.dtype).topk(most, dim=1).indices  # (B, P), positives first
    is_positive, pulled = positives.gather(1, partners), distances.gather(1, partners)
    first = torch.searchsorted(ordered, pulled, right=True)
    last = torch.searchsorted(ordered, _largest_within(pulled, margin), right=True)
    counts = ((last - first).clamp_min(0) * is_positive).to(distances.dtype)  # (B, P) of n for each pair (a, p)
    # Pair (a, p) has the negatives first..last − 1 of the row: one use more from the first on, one less after the last.
    steps = distances.new_zeros(len(distances), distances.shape[1] + 1)
    is_used = (counts > 0).to(steps.dtype)
    steps.scatter_add_(1, first, is_used).scatter_add_(1, last, -is_used)
    uses = steps[:, :-1].cumsum(1)
    weights = torch.empty_like(uses).scatter_(1, places, -uses)
    return weights.scatter_add_(1, partners, counts)


def _largest_within(distances: Tensor, margin: float) -> Tensor:
    """The largest number whose difference from a distance, rounded, is below the margin: next to their sum, or it."""
    sums = distances + margin
    up = torch.full_like(sums, torch.inf)
    largest = sums.nextafter(-up).nextafter(-up)
    for candidate in (sums.nextafter(-up), sums, sums.nextafter(up)):
        largest = torch.where(candidate - distances < margin, candidate, largest)
    return largest


class TripletLoss(TripletCriterion):
    """``mean over triplets of [d(a, p)² − d(a, n)² + margin]₊`` (Schroff et al., CVPR 2015, Eq. 3; METHODS §17).

    pytorch-metric-learning's ``TripletMarginLoss`` over squared distances, on any similarity. O(B²·D).

    Args:
        margin: of the squared distances.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, margin: float = 0.2, similarity: Similarity | None = None
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.margin = margin

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Triplets that keep the margin count as 0 in the mean."""
        positive, negative = self.pair_distances(embeddings, tuples)
        return (positive.square() - negative.square() + self.margin).relu().mean()


SPECS = (
    LossSpec(
        name="triplet_semihard",
        build=TripletSemihardLoss,
        spellings=("Triplet",),
        recipe="proxy_anchor",
        needs_positives=True,
    ),
    LossSpec(
        name="triplet_squared",
        build=TripletLoss,
        spellings=("triplet",),
        recipe="lsd",
        options={"loss_triplet_margin": Option("margin", "margin of the squared distances", within=at_least(0))},
        miners=MARGIN_MINERS,
        needs_positives=True,
    ),
)
