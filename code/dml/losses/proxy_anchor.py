"""Proxy-Anchor (Kim et al., CVPR 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from dml.losses.functional import check_batch, class_mask, init_proxies, log1p_sum_exp
from dml.normalize import l2_normalize


class ProxyAnchorLoss(nn.Module):
    """Proxy-Anchor, Eq. 4 of the paper (METHODS §1).

    One learnable proxy per class is the anchor of all samples of the batch: with s = cos(x, p),
    ``mean over present classes of log(1 + Σ₊ exp(−α(s − δ)))`` plus
    ``mean over all classes of log(1 + Σ₋ exp(α(s + δ)))``. O(B·C·D) time, O(B·C) memory.

    Args:
        num_classes: C, at least 1.
        embedding_size: D.
        margin: δ.
        alpha: α, the scale of similarities.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, margin: float = 0.1, alpha: float = 32.0):
        super().__init__()
        self.num_classes, self.embedding_size = num_classes, embedding_size
        self.margin, self.alpha = margin, alpha
        self.proxies = init_proxies(num_classes, embedding_size)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings of any norm and (B,) int64 labels in 0..C−1.

        NOTE: the published code binarises labels on the CPU with scikit-learn, which returns one column when
        C = 2 and broadcasts wrongly; here C = 2 works.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        check_batch(embeddings, labels, self.num_classes, self.embedding_size)
        similarity = l2_normalize(embeddings) @ l2_normalize(self.proxies).to(embeddings.dtype).T  # (B, C)
        positive = class_mask(labels, self.num_classes)
        pull = log1p_sum_exp(-self.alpha * (similarity - self.margin), positive, dim=0)  # (C,)
        push = log1p_sum_exp(self.alpha * (similarity + self.margin), ~positive, dim=0)
        return pull.sum() / positive.any(0).sum() + push.mean()
