"""Relaxed multi-similarity loss (Kim et al., Embedding Transfer with Label Relaxation, CVPR 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.distances import pairwise_distances, relative, relaxed_exponents
from dml.losses.functional import log1p_sum_exp
from dml.losses.transfer import relaxed_contrastive
from dml.losses.transfer.contract import Representation, check_rows, embedding_pair
from dml.losses.transfer.spec import TransferLossSpec
from dml.normalize import l2_normalize_clamped
from dml.options import Option


class RelaxedMSLoss(nn.Module):
    """The multi-similarity loss with the source's similarity in place of "same class" (METHODS §6).

    With w and r as in the relaxed contrastive loss, per row
    ``(1/a) log(1 + Σ_{j≠i} w e^{a r}) + (1/b) log(1 + Σ_{j≠i} (1 − w) e^{b (δ − r)})``, and the mean over rows
    where that is positive. O(B²·D) time, O(B²) memory.

    NOTE: the published code names an undefined variable here and cannot run; it is read as the target's embedding.

    Args:
        sigma: σ, bandwidth of the source's similarity.
        delta: δ, the relative distance that pushing is measured from.
        scale_pos: a.
        scale_neg: b.
        forced_pairs: set w = 1 between the views of an image, whatever the source says.
            NOTE: the published code assumes two views and forces rows i and i + B/2; here rows of the same image
            are known by their index, which gives those very pairs with two views, any pairs with more, none with one.
    """

    def __init__(
        self,
        *,
        sigma: float = 1.0,
        delta: float = 1.0,
        scale_pos: float = 1.0,
        scale_neg: float = 2.0,
        forced_pairs: bool = True,
    ):
        super().__init__()
        if min(sigma, scale_pos, scale_neg) <= 0:
            raise UserError(f"sigma and scales must be positive, got {sigma}, {scale_pos}, {scale_neg}")
        self.sigma, self.delta, self.forced_pairs = sigma, delta, forced_pairs
        self.scale_pos, self.scale_neg = scale_pos, scale_neg

    def forward(self, target: Representation, source: Representation, *, labels: Tensor, indices: Tensor) -> Tensor:
        """Scalar loss of the embeddings and, for the forced pairs, of the images' indices (B,).

        Raises:
            UserError: embeddings or indices that do not fit each other.
        """
        t, s = embedding_pair(target, source)
        check_rows("indices", indices, len(t))
        exponents = relaxed_exponents(l2_normalize_clamped(s), self.sigma)
        log_like, log_unlike = -exponents, (-torch.expm1(-exponents)).log()  # log w and log(1 − w), −∞ at w = 1
        if self.forced_pairs:
            same_image = indices[:, None] == indices
            log_like = log_like.masked_fill(same_image, 0)
            log_unlike = log_unlike.masked_fill(same_image, -torch.inf)
        log_like = log_like.fill_diagonal_(-torch.inf)
        distance = relative(pairwise_distances(t))
        pull = log1p_sum_exp(log_like + self.scale_pos * distance, 1) / self.scale_pos
        push = log1p_sum_exp(log_unlike + self.scale_neg * (self.delta - distance), 1) / self.scale_neg
        rows = pull + push
        return rows.sum() / rows.count_nonzero().clamp_min(1)


SPEC = TransferLossSpec(
    name="relaxed_multi_similarity",
    build=RelaxedMSLoss,
    spellings=("Relaxed_MS",),
    options={
        **relaxed_contrastive.SPEC.options,
        "forced-pairs": Option("forced_pairs", "count views of an image as alike whatever the source says"),
    },
)
