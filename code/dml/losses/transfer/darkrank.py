"""Hard DarkRank (Chen et al., AAAI 2018), with the triplet loss that it is published with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.losses.transfer.contract import Representation, check_rows, embedding_pair
from dml.losses.transfer.distances import clamped_root, plain_root, squared_distances
from dml.normalize import l2_normalize_clamped


class DarkRankLoss(nn.Module):
    """The target orders each row's nearest neighbours as the source does (METHODS §9), plus a triplet loss.

    With scores ``−α pd^β`` of unit vectors: the negative log-likelihood, under the target's scores, of the source's
    order of its ``permute_len`` nearest; mean over rows. O(B²·(D + log B)) time, O(B²) memory.

    Args:
        alpha: α, scale of the scores.
        beta: β, their exponent.
        permute_len: L, how many neighbours are ordered.
        triplet_weight: factor of the triplet loss.
        triplet_margin: its margin.
    """

    def __init__(
        self,
        *,
        alpha: float = 3.0,
        beta: float = 3.0,
        permute_len: int = 4,
        triplet_weight: float = 1.0,
        triplet_margin: float = 0.2,
    ):
        super().__init__()
        if permute_len < 1:
            raise ValueError(f"permute_len must be at least 1, got {permute_len}")
        self.alpha, self.beta, self.permute_len = alpha, beta, permute_len
        self.triplet_weight, self.triplet_margin = triplet_weight, triplet_margin

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings and labels (B,).

        Raises:
            ValueError: inputs that do not fit each other, or a batch of permute_len rows or fewer.
        """
        t, s = embedding_pair(target, source)
        check_rows("labels", labels, len(t))
        if len(t) <= self.permute_len:
            raise ValueError(f"ranking {self.permute_len} neighbours needs more rows than that, got {len(t)}")
        squares = squared_distances(l2_normalize_clamped(t))
        ranking = self._ranking_loss(clamped_root(squares), squared_distances(l2_normalize_clamped(s)))
        triplets = all_violating_triplets(plain_root(squares), labels, self.triplet_margin)
        return ranking + self.triplet_weight * triplets

    def _ranking_loss(self, target_distances: Tensor, source_squares: Tensor) -> Tensor:
        order = source_squares.fill_diagonal_(torch.inf).topk(self.permute_len, largest=False).indices  # nearest first
        scores = -self.alpha * target_distances.gather(1, order).pow(self.beta)
        still_to_place = scores.flip(1).logcumsumexp(1)  # over places l..L, last place first
        return (still_to_place - scores.flip(1)).sum(1).mean()


def all_violating_triplets(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Mean of the positive ``d_ap − d_an + margin`` over all triplets of (B, B) distances; 0 if there are none.

    NOTE: the published code asks its library for a miner that does not exist and thereby gets these triplets.

    The loss is linear in the distances, each counted as often as it takes part: the counts come from sorted rows,
    so B³ triplets cost O(B² log B) time and O(B²) memory.
    """
    same = labels[:, None] == labels
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    with torch.no_grad():
        reach = (distances + margin).masked_fill(~positive, -torch.inf)
        negatives = distances.masked_fill(same, torch.inf)
        nearer_negatives = torch.searchsorted(negatives.sort(1).values, reach)  # negatives with d_an < d_ap + margin
        outside = torch.searchsorted(reach.sort(1).values, negatives, right=True)  # positives with reach ≤ d_an
        farther_positives = len(labels) - outside
        triplets = nearer_negatives.sum()
    counts = (nearer_negatives - farther_positives).to(distances.dtype)
    return ((counts * distances).sum() + margin * triplets) / triplets.clamp_min(1)
