"""Everything that must be known to rebuild an embedding network around its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from dml.errors import UserError
from dml.models.backbones import BACKBONES
from dml.models.batch_norm import GlobalBatchNorm1d
from dml.models.pooling import POOLINGS, TITLES
from dml.normalize import l2_normalize, l2_normalize_clamped
from dml.registry import Registry

# METHODS §0; the larger epsilon is that of the GoogLeNets of Proxy-Anchor, Proxy-ISA and STML.
NORMS: Registry[Callable[[Tensor], Tensor]] = Registry(
    "norm",
    {
        "n_eps": l2_normalize,
        "n_eps_1e-5": partial(l2_normalize, eps=1e-5),
        "n_clamp": l2_normalize_clamped,
    },
)


def _perceptron(num_features: int, embedding_size: int) -> nn.Sequential:
    layers = nn.Linear(num_features, num_features), nn.ReLU(), nn.Linear(num_features, embedding_size)
    return nn.Sequential(*layers)


def _normalized_perceptron(num_features: int, embedding_size: int) -> nn.Sequential:
    width = 2 * num_features
    first = nn.Linear(num_features, width), GlobalBatchNorm1d(width), nn.ReLU()
    return nn.Sequential(*first, nn.Linear(width, embedding_size))


def _no_head(num_features: int, embedding_size: int) -> nn.Identity:
    if embedding_size != num_features:
        raise UserError(
            f"--head none: the embedding is the features themselves, {num_features} numbers, not {embedding_size}:"
            f" --embedding-size {num_features}"
        )
    return nn.Identity()


# (features F, embedding size D) → (B, F) to (B, D).
HEADS: Registry[Callable[[int, int], nn.Module]] = Registry(
    "head", {"linear": nn.Linear, "mlp": _perceptron, "mlp_bn": _normalized_perceptron, "none": _no_head}
)


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The shape of an ``EmbeddingNet``; every checkpoint of ours carries one.

    Attributes:
        backbone: a name of ``BACKBONES``.
        embedding_size: D.
        head: what makes the embedding of the pooled features, a name of ``HEADS``: ``linear``, or two layers with a
            ReLU between them, ``mlp`` as wide as the features, ``mlp_bn`` twice so and with batch normalisation; or
            ``none``, which leaves them as they are.
        pooling: a name of ``POOLINGS``.
        l2_norm: whether embeddings are brought to unit length.
        norm: by which convention, a name of ``NORMS``; also used for the uncertainty.
        background_size: G, size of STML's second head; None without one.
        uncertainty: whether there is IDML's uncertainty head, of size D.
        uncertainty_norm: whether the uncertainty is brought to unit length.
        image_size: side of the images in pixels that a backbone with position embeddings is built for; None: its own,
            or a backbone without.
        system: published system that it belongs to or was inferred to belong to; None if unknown.

    Raises:
        UnknownNameError: a backbone, head, pooling or norm that does not exist.
        UserError: a size below 1, or ``uncertainty_norm`` without ``uncertainty``.
    """

    backbone: str
    embedding_size: int = 512
    head: str = "linear"
    pooling: str = "avg_max"
    l2_norm: bool = True
    norm: str = "n_eps"
    background_size: int | None = None
    uncertainty: bool = False
    uncertainty_norm: bool = False
    image_size: int | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        BACKBONES.canonical(self.backbone)
        HEADS.canonical(self.head)
        POOLINGS.canonical(self.pooling)
        NORMS.canonical(self.norm)
        if self.embedding_size < 1 or (self.background_size is not None and self.background_size < 1):
            raise UserError(
                "embedding and background sizes must be 1 or more,"
                f" got {self.embedding_size} and {self.background_size}"
            )
        if self.uncertainty_norm and not self.uncertainty:
            raise UserError("uncertainty_norm needs the uncertainty head: set uncertainty too")

    def describe(self) -> str:
        """One line for the log, such as ``resnet50, 512-d, average + max pooling, unit length (n_eps)``."""
        parts = [self.backbone, f"{self.embedding_size}-d"]
        if self.image_size is not None:
            parts.append(f"for images of {self.image_size} pixels")
        if self.head != "linear":
            parts.append("no head" if self.head == "none" else f"head {self.head}")
        parts.append(TITLES[self.pooling])
        parts.append(f"unit length ({self.norm})" if self.l2_norm else "not normalised")
        if self.background_size is not None:
            parts.append(f"background head {self.background_size}-d")
        if self.uncertainty:
            parts.append("uncertainty head" + (" (unit length)" if self.uncertainty_norm else ""))
        return ", ".join(parts)
