"""ArcFace, as published with the criteria and as its paper has it."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.functional import own_class, redraw_uniformly
from dml.losses.similarity import CosineSimilarity, Similarity
from dml.losses.spec import LossSpec, rate_option
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above, between

_CLEARANCE = 1e-10


class _ArcFace(BatchCriterion):
    """Class vectors and settings of both forms."""

    whole_gradients = ("proxies",)  # dml.processes

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        angular_margin: float = 0.5,
        feature_scale: float = 16.0,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if not 0 <= angular_margin < math.pi:
            raise UserError(f"--loss_arcface_angular_margin must lie in 0..π radians, got {angular_margin}")
        self.angular_margin, self.feature_scale = angular_margin, feature_scale
        self.proxies = nn.Parameter(torch.empty(num_classes, embedding_size))
        redraw_uniformly(self.proxies)

    def _cosines(self, embeddings: Tensor, lowest: float) -> Tensor:
        """(B, C) similarities to unit class vectors, between ``lowest`` and almost 1.

        NOTE: "almost" is 1e-10 as published, and in float32, where that is nothing, one rounding step: at 1 itself
        the angle has no derivative.
        """
        cosines = self.similarity.similarities(embeddings, l2_normalize_clamped(self.proxies))
        clearance = max(_CLEARANCE, torch.finfo(cosines.dtype).eps)
        return cosines.clamp(max(lowest, clearance - 1), 1 - clearance)

    def _widened(self, cosines: Tensor) -> Tensor:
        """cos(θ + margin) of cosines strictly inside −1..1."""
        margin = self.angular_margin
        return cosines * math.cos(margin) - (1 - cosines.square()).sqrt() * math.sin(margin)

    def _classify(self, cosines: Tensor, targets: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy with each sample's own class at its (B,) ``targets``."""
        logits = cosines.scatter(1, labels[:, None], targets[:, None])
        return F.cross_entropy(self.feature_scale * logits, labels)


class ArcFaceClamped(_ArcFace):
    """ArcFace as the Revisiting-DML code base computes it (METHODS §17). O(B·C·D).

    Cross-entropy of ``s · cos θ_c``, the own class at ``s · cos(θ + margin)``, x not normalised.

    NOTE: cosines below 1e-10 are raised to it, so classes at more than a right angle, the own class among them,
    get no gradient. Kept, for the published spelling is the published function; ``ArcFaceLoss`` is the paper's.

    Args:
        angular_margin: in radians.
        feature_scale: s.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: a margin outside 0..π.
    """

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings are not normalised."""
        cosines = self._cosines(embeddings, _CLEARANCE)
        return self._classify(cosines, self._widened(own_class(cosines, labels)), labels)


class ArcFaceLoss(_ArcFace):
    """ArcFace (Deng et al., CVPR 2019, Eq. 3) over cosines of embeddings and class vectors. O(B·C·D).

    Beyond θ = π − margin, where cos(θ + margin) would rise again, the own class is at cos θ − margin · sin(margin),
    as in the authors' code.

    Args:
        angular_margin: in radians.
        feature_scale: s.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: a margin outside 0..π.
    """

    own_similarity = CosineSimilarity()

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Embeddings of any norm."""
        cosines = self._cosines(embeddings, -1.0)
        own, margin = own_class(cosines, labels), self.angular_margin
        beyond = own <= -math.cos(margin)
        return self._classify(cosines, torch.where(beyond, own - margin * math.sin(margin), self._widened(own)), labels)


_OPTIONS = {
    "loss_arcface_angular_margin": Option(
        "angular_margin", "margin in radians", within=between(0, math.pi, without="high")
    ),
    "loss_arcface_feature_scale": Option("feature_scale", "scale of the cosines", within=above(0)),
    "loss_arcface_lr": rate_option("learning rate of the class vectors"),
}

_AS_PUBLISHED = LossSpec(
    name="arcface_clamped",
    build=ArcFaceClamped,
    spellings=("arcface",),
    recipe="lsd",
    options=_OPTIONS,
    lr_scale=5e-4,
    lr_option="loss_arcface_lr",
    lr_is_absolute=True,
)

SPECS = (_AS_PUBLISHED, replace(_AS_PUBLISHED, name="arcface_unclamped", build=ArcFaceLoss, spellings=()))
