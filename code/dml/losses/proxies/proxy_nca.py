"""ProxyNCA (Movshovitz-Attias et al., ICCV 2017) in the three forms that published code computes.

They differ in the denominator, from which the paper leaves the positive proxy out while the library form keeps it in,
in the scale, and in whether the embeddings are brought to unit length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.functional import check_batch, init_proxies, own_class, without_own_class
from dml.losses.similarity import CosineSimilarity, Similarity
from dml.losses.spec import LossSpec, rate_option
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above

PUBLISHED_LENGTH = 3.0  # of embeddings and proxies in the form of distances


class _ProxyNCA(nn.Module):
    """Proxies, scale and checks of all forms."""

    whole_gradients = ("proxies",)  # dml.processes

    def __init__(self, *, num_classes: int, embedding_size: int, scale: float, similarity: Similarity | None):
        super().__init__()
        if num_classes < 2:
            raise UserError(f"ProxyNCA compares classes: it needs at least 2, got {num_classes}")
        self.num_classes, self.embedding_size, self.scale = num_classes, embedding_size, scale
        self.similarity = similarity
        self.proxies = self._draw(num_classes, embedding_size)

    def _draw(self, num_classes: int, embedding_size: int) -> nn.Parameter:
        """The (C, D) proxies before any training."""
        return init_proxies(num_classes, embedding_size)

    def _logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """(B, C) ``scale · x · p̂``, x as given, p̂ of unit length; with a similarity ``scale`` times that."""
        if self.similarity is not None:
            return self.scale * self._similarities(embeddings, labels, self.similarity)
        check_batch(embeddings, labels, self.num_classes, self.embedding_size)
        return self.scale * embeddings @ l2_normalize_clamped(self.proxies).to(embeddings.dtype).T

    def _similarities(self, embeddings: Tensor, labels: Tensor, similarity: Similarity) -> Tensor:
        check_batch(embeddings, labels, self.num_classes, similarity.width(self.embedding_size))
        return similarity.similarities(embeddings, self.proxies)


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


class ProxyNCADistances(ProxyNCAWithoutPositive):
    """``mean of ‖x̄ − p̄_y‖² + log Σ_{c≠y} exp(−‖x̄ − p̄_c‖²)`` with x̄ = 3 n(x), p̄ = 3 n(p) (METHODS §17).

    Eq. 6 at the published length 3, as in the Revisiting-DML code base: since ‖x̄ − p̄‖² = 9 · (2 − 2 cos), it is the
    form above at scale 18, with the cosine of embeddings of any norm. O(B·C·D).

    Args:
        num_classes: C, at least 2.
        embedding_size: D.
        similarity: in place of the cosine; None: the cosine.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, similarity: Similarity | None = None):
        super().__init__(
            num_classes=num_classes,
            embedding_size=embedding_size,
            scale=2 * PUBLISHED_LENGTH**2,
            similarity=similarity or CosineSimilarity(),
        )

    def _draw(self, num_classes: int, embedding_size: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(num_classes, embedding_size) / 8)

    def _logits(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """(B, C) −‖x̄ − p̄_c‖²: ``scale`` less than ``scale · cos``, which the loss does not see but for rounding."""
        return -self.scale / 2 * (2 - 2 * self._similarities(embeddings, labels, self.similarity))


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


_SCALE_OF_DISTANCES = Option("scale", "scale of the squared distances to proxies", ("ncaScale",), within=above(0))
_SCALE_OF_SIMILARITIES = Option("scale", "scale of the similarities to proxies", ("ncaScale",), within=above(0))

SPECS = (
    LossSpec(
        name="proxy_nca_with_positive",
        build=ProxyNCAWithPositive,
        spellings=("Proxy_NCA",),
        recipe="proxy_anchor",
        options={"nca-scale": _SCALE_OF_DISTANCES},
        lr_scale=1.0,
    ),
    LossSpec(
        name="proxy_nca_without_positive",
        build=ProxyNCAWithoutPositive,
        spellings=("ProxyNCA",),
        recipe="proxy_isa",
        options={"nca-scale": _SCALE_OF_SIMILARITIES},
        lr_scale=100.0,
        clip=True,
    ),
    LossSpec(
        name="proxy_nca_distances",
        build=ProxyNCADistances,
        spellings=("proxynca",),
        recipe="lsd",
        options={"loss_proxynca_lrmulti": rate_option("learning rate of the proxies, in multiples of --lr")},
        lr_scale=50.0,
        lr_option="loss_proxynca_lrmulti",
        distilled_length=PUBLISHED_LENGTH,  # NOTE: the published proxynca_lsd distils the rows as it scales them
    ),
)
