"""Proxy-Anchor (Kim et al., CVPR 2020)."""

from __future__ import annotations

from torch import Tensor, nn

from dml.losses.functional import (
    check_batch,
    class_counts,
    init_proxies,
    log1p_sum_exp,
    log1p_sum_exp_by_class,
    own_class,
    without_own_class,
)
from dml.losses.similarity import CosineSimilarity, Similarity
from dml.losses.spec import LossSpec
from dml.options import Option
from dml.ranges import above, at_least


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
        similarity: s of samples and proxies; None: the cosine.
    """

    whole_gradients = ("proxies",)  # dml.processes

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.1,
        alpha: float = 32.0,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.similarity = similarity or CosineSimilarity()
        self.num_classes, self.embedding_size = num_classes, embedding_size
        self.margin, self.alpha = margin, alpha
        self.proxies = init_proxies(num_classes, embedding_size)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings of any norm, or the rows of its similarity, and (B,) int64 labels in 0..C−1.

        NOTE: the published code binarises labels on the CPU with scikit-learn, which returns one column when
        C = 2 and broadcasts wrongly; here C = 2 works.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        check_batch(embeddings, labels, self.num_classes, self.similarity.width(self.embedding_size))
        similarity = self.similarity.similarities(embeddings, self.proxies)  # (B, C)
        attraction = -self.alpha * (own_class(similarity, labels) - self.margin)  # (B,)
        repulsion = self.alpha * (without_own_class(similarity, labels) + self.margin)  # (B, C)
        present = class_counts(labels, self.num_classes).count_nonzero()
        pull = log1p_sum_exp_by_class(attraction, labels, self.num_classes).sum() / present
        return pull + log1p_sum_exp(repulsion, dim=0).mean()


SPEC = LossSpec(
    name="proxy_anchor",
    build=ProxyAnchorLoss,
    spellings=("Proxy_Anchor", "ProxyAnchor"),
    recipe="proxy_anchor",
    spelling_recipes={"ProxyAnchor": "proxy_isa"},
    options={
        "mrg": Option("margin", "margin δ between a proxy's positives and negatives", within=at_least(0)),
        "alpha": Option("alpha", "scale α of the similarities", within=above(0)),
    },
    lr_scale=100.0,
    clip=True,
)
