"""The classification network: backbone, average pooling, linear classifier, and perhaps an uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.classifiers.backbones import classifier_with_stem
from dml.models.input_spec import InputSpec
from dml.models.started_from import StartedFrom


@dataclass(frozen=True, kw_only=True)
class ClassifierArchitecture:
    """The shape of a ``ClassifierNet``; every checkpoint of one carries it.

    Attributes:
        backbone: see ``classifier_backbone``.
        stem: "imagenet", or "cifar" for images of 32 × 32 pixels.
        classes: C names; name ``c`` belongs to logit ``c``.
        uncertainty_size: U, length of the uncertainty; None without one.

    Raises:
        UnknownNameError: a backbone that does not exist.
        UserError: a depth that no backbone has, a stem that the backbone does not have, no class, or a size below 1.
    """

    backbone: str
    stem: str
    classes: tuple[str, ...]
    uncertainty_size: int | None = None

    def __post_init__(self) -> None:
        classifier_with_stem(self.backbone, self.stem)
        if not self.classes:
            raise UserError("a classifier needs at least one class")
        if self.uncertainty_size is not None and self.uncertainty_size < 1:
            raise UserError(f"--uncertainty-size must be at least 1, got {self.uncertainty_size}")

    def describe(self) -> str:
        """One line for the log, such as ``resnet18 (cifar stem), 10 classes, uncertainty 128-d``."""
        uncertainty = "" if self.uncertainty_size is None else f", uncertainty {self.uncertainty_size}-d"
        return f"{self.backbone} ({self.stem} stem), {len(self.classes)} classes{uncertainty}"


@dataclass
class ClassifierOutput:
    """What a classification network makes of a batch of B images; all float32.

    Attributes:
        logits: (B, C) z = W f + b.
        features: (B, F) f, pooled.
        uncertainty: (B, U) u ≥ 0; None without one.
    """

    logits: Tensor
    features: Tensor
    uncertainty: Tensor | None = None


class ClassifierNet(nn.Module):
    """A network initialised at random; the heads start as ``nn.Linear`` does.

    Attributes:
        started_from: what its first weights were taken from, None without a checkpoint.

    Args:
        architecture: kept as ``self.architecture``.
    """

    def __init__(self, architecture: ClassifierArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.started_from: StartedFrom | None = None
        self.backbone = classifier_with_stem(architecture.backbone, architecture.stem)()
        width, size = self.backbone.num_features, architecture.uncertainty_size
        self.classifier = nn.Linear(width, len(architecture.classes))
        self.uncertainty = None if size is None else nn.Linear(width, size)

    @property
    def input_spec(self) -> InputSpec:
        """The normalisation that the images need."""
        return self.backbone.input_spec

    def forward(self, images: Tensor) -> ClassifierOutput:
        """(B, 3, H, W) normalised images → outputs. The heads compute in float32 whatever the autocast: the
        introspective logits take differences of their products.
        """
        features = self.backbone(images).mean(dim=(2, 3)).float()
        with torch.autocast(features.device.type, enabled=False):
            uncertainty = None if self.uncertainty is None else self.uncertainty(features).relu()
            return ClassifierOutput(self.classifier(features), features, uncertainty)
