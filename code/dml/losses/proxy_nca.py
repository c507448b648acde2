"""ProxyNCA (Movshovitz-Attias et al., ICCV 2017) in the two forms that published code computes.

They differ in the denominator: the paper leaves the positive proxy out, the library form keeps it in.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.functional import check_batch, init_proxies, own_class, without_own_class
from dml.losses.similarity import Similarity
from dml.normalize import l2_normalize_clamped


class _ProxyNCA(nn.Module):
    """Proxies, scale and checks of both forms."""

    def __init__(self, *, num_classes: int, embedding_size: int, scale: float, similarity: Similarity | None):
        super().__init__()
        if num_classes < 2:
            raise UserError(f"ProxyNCA compares classes: it needs at least 2, got {num_classes}")
        self.num_classes, self.embedding_size, self.scale = num_classes, embedding_size, scale
        self.similarity = similarity
        self.proxies = init_proxies(num_classes, embedding_size)

    def _logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """(B, C) ``scale · x · p̂``, x as given, p̂ of unit length; with a similarity ``scale`` times that."""
        if self.similarity is not None:
            check_batch(embeddings, labels, self.num_classes, self.similarity.width(self.embedding_size))
            return self.scale * self.similarity.similarities(embeddings, self.proxies)
        check_batch(embeddings, labels, self.num_classes, self.embedding_size)
        return self.scale * embeddings @ l2_normalize_clamped(self.proxies).to(embeddings.dtype).T


class ProxyNCAWithoutPositive(_ProxyNCA):
    """The paper's form, as the Proxy-ISA repository has it (METHODS §2a).

    With S = scale · x · p̂: ``mean of −S_y + log Σ_{c≠y} exp(S_c)``. It can be negative. The embeddings are
    not normalised here: the networks that it is published with give unit vectors. O(B·C·D).

    Args:
        num_classes: C, at least 2.
        embedding_size: D.
        scale: of the similarities, ``--ncaScale`` as published.
        similarity: in place of x · p̂; None: that product.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, scale: float = 12.0, similarity: Similarity | None = None
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, scale=scale, similarity=similarity)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings and (B,) int64 labels in 0..C−1; UserError if they do not fit."""
        logits = self._logits(embeddings, labels)
        return (without_own_class(logits, labels).logsumexp(1) - own_class(logits, labels)).mean()


class ProxyNCAWithPositive(_ProxyNCA):
    """The form of pytorch-metric-learning's ``ProxyNCALoss``, as the Proxy-Anchor repository uses it (METHODS §2b).

    ``−log softmax_c(−scale · ‖x̂ − p̂_c‖²)`` at the sample's class, over all proxies; with unit vectors the
    squared distance is 2 − 2 cos, hence a cosine scale of 2 · scale. O(B·C·D).

    NOTE: the library drops a sample whose probability underflows to 0, the very one that errs most; the
    log-softmax here keeps it.

    Args:
        num_classes: C, at least 2.
        embedding_size: D.
        scale: of the squared distances.
        similarity: in place of the cosine x̂ · p̂; None: the cosine.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, scale: float = 32.0, similarity: Similarity | None = None
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, scale=scale, similarity=similarity)

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings and (B,) int64 labels in 0..C−1; UserError if they do not fit."""
        rows = l2_normalize_clamped(embeddings) if self.similarity is None else embeddings
        return F.cross_entropy(2 * self._logits(rows, labels), labels)
