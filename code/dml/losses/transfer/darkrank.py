"""Hard DarkRank (Chen et al., AAAI 2018), with the triplet loss that it is published with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.distances import MIN_SQUARE, safe_root, squared_distances
from dml.losses.transfer.contract import Representation, check_rows, embedding_pair
from dml.losses.transfer.spec import TransferLossSpec
from dml.normalize import l2_normalize_clamped


class DarkRankLoss(nn.Module):
    """The target orders each row's nearest neighbours as the source does (METHODS §9), plus a triplet loss.

    With scores ``−α pd^β`` of unit vectors: the negative log-likelihood, under the target's scores, of the source's
    order of its ``permute_len`` nearest; mean over rows. O(B²·D) time, O(B²) memory, and what the triplets cost.

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
            raise UserError(f"permute_len must be at least 1, got {permute_len}")
        self.alpha, self.beta, self.permute_len = alpha, beta, permute_len
        self.triplet_weight, self.triplet_margin = triplet_weight, triplet_margin

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings and labels (B,).

        Raises:
            UserError: inputs that do not fit each other, or a batch of permute_len rows or fewer.
        """
        t, s = embedding_pair(target, source)
        check_rows("labels", labels, len(t))
        if len(t) <= self.permute_len:
            raise UserError(
                f"ranking {self.permute_len} neighbours needs more rows than that, got {len(t)}: raise --batch-size"
            )
        squares = squared_distances(l2_normalize_clamped(t))
        ranking = self._ranking_loss(squares, squared_distances(l2_normalize_clamped(s)))
        triplets = all_violating_triplets(safe_root(squares), labels, self.triplet_margin)
        return ranking + self.triplet_weight * triplets

    def _ranking_loss(self, target_squares: Tensor, source_squares: Tensor) -> Tensor:
        """Of (B, B) squared distances, the diagonal of the source's overwritten so that no row ranks itself."""
        order = source_squares.fill_diagonal_(torch.inf).topk(self.permute_len, largest=False).indices  # nearest first
        last_first = target_squares.gather(1, order.flip(1)).clamp_min(MIN_SQUARE)
        scores = -self.alpha * last_first.pow(self.beta / 2)  # (B, L)
        return (scores.logcumsumexp(1) - scores).sum(1).mean()


def all_violating_triplets(distances: Tensor, labels: Tensor, margin: float) -> Tensor:
    """Mean of the positive ``d_ap − d_an + margin`` over all triplets of (B, B) distances; 0 if there are none.

    NOTE: the published code asks its library for a miner that does not exist and thereby gets these triplets.

    O(P·B) time and memory for the batch's P pairs of a class: 5·B with 6 rows per class, at worst B².
    """
    same = labels[:, None] == labels
    anchors, positives = same.fill_diagonal_(False).nonzero(as_tuple=True)
    gaps = (distances[anchors, positives] + margin)[:, None] - distances[anchors]  # (P, B)
    counted = (labels[anchors][:, None] != labels) & (gaps > 0)
    return (gaps * counted).sum() / counted.sum().clamp_min(1)


SPEC = TransferLossSpec(name="darkrank", build=DarkRankLoss, spellings=("DarkRank",), fewest_rows=5)
