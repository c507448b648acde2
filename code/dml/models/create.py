"""A network by name, with or without ImageNet weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from dml.config import FinetuningConfig, IntrospectiveConfig, ModelConfig
from dml.models.architecture import Architecture
from dml.models.backbones import BACKBONES, traits_of
from dml.models.embedding_net import EmbeddingNet
from dml.models.pooling import feature_size
from dml.models.start import start_from
from dml.models.started_from import StartedFrom
from dml.models.weights import check_weights, load_imagenet_weights
from dml.registry import Registry


def _as_torch_draws(backbone: nn.Module) -> None:
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()


BACKBONE_INITS: Registry[Callable[[nn.Module], None]] = Registry(
    "backbone initialisation", {"published": lambda backbone: None, "torch": _as_torch_draws}
)
"""What is done to a backbone that was drawn as its publication has it."""


def model_from_config(
    config: ModelConfig,
    *,
    introspective: IntrospectiveConfig | None = None,
    image_size: int | None = None,
    finetuning: FinetuningConfig | None = None,
    continued: bool = False,
) -> EmbeddingNet:
    """The network that a run's settings describe; see ``create_model``.

    Args:
        introspective: gives it an uncertainty head; None: without.
        image_size: side of the run's images.
        finetuning: how far the backbone moves; None: without restraint.
        continued: whether a checkpoint will replace every weight, so that none to start from are needed.
    """
    model = create_model(
        config.model,
        embedding_size=config.embedding_size,
        pretrained=config.pretrained and not (continued or config.init_from),
        weights=Path(config.weights) if config.weights and not continued else None,
        l2_norm=config.l2_norm,
        norm=config.norm_convention,
        bn_freeze=config.bn_freeze,
        bn_affine=config.bn_affine,
        bn_momentum=config.bn_momentum,
        backbone_init=config.backbone_init,
        head=config.head,
        pooling=config.pooling,
        head_init=config.head_init,
        uncertainty=introspective is not None,
        uncertainty_norm=introspective is not None and introspective.uncertainty_norm,
        image_size=image_size,
        drop_path=0.0 if finetuning is None else finetuning.drop_path,
    )
    if config.init_from and not continued:
        start_from(model, config.init_from)
    if finetuning is not None:
        restrain(model, finetuning)
    return model


def restrain(model: EmbeddingNet, finetuning: FinetuningConfig) -> None:
    """Freeze what is to stay as it is, and set rates by depth. UserError for what the network cannot do."""
    model.layer_decay = finetuning.layer_decay
    if finetuning.grad_checkpointing:
        model.backbone.recompute()
    if finetuning.freeze is not None:
        model.freeze(None if finetuning.is_whole_frozen else finetuning.frozen_blocks)


def create_model(
    name: str,
    *,
    embedding_size: int = 512,
    pretrained: bool = True,
    weights: Path | str | None = None,
    backbone_init: str = "published",
    head: str = "linear",
    pooling: str | None = None,
    l2_norm: bool = True,
    norm: str = "n_eps",
    head_init: str = "kaiming",
    background_size: int | None = None,
    uncertainty: bool = False,
    uncertainty_norm: bool = False,
    image_size: int | None = None,
    bn_freeze: bool = False,
    bn_affine: bool = False,
    bn_momentum: float = 0.1,
    drop_path: float = 0.0,
) -> EmbeddingNet:
    """Build an embedding network; heads and, without ImageNet weights, backbone start from torch's global RNG.

    Args:
        name: a name of ``BACKBONES``.
        pooling: None: the network's own custom.
        image_size: side of the images, in pixels; of weight for networks with position embeddings alone.
        pretrained: start the backbone from ImageNet weights. False never touches the network.
        weights: local file to take them from instead of the published address; needs ``pretrained``.
        backbone_init: without ``pretrained``, a name of ``BACKBONE_INITS``.
        head_init, bn_freeze, bn_affine, bn_momentum, drop_path: see ``EmbeddingNet``; all others: see ``Architecture``.

    Raises:
        UnknownNameError: an unknown name of any kind, listing the valid ones.
        UserError: sizes or options that do not fit together.
        WeightsError: the ImageNet weights cannot be had; the message says what to do.
        CheckpointError: the weight file cannot be read or belongs to another network.
    """
    check_weights(weights, pretrained=pretrained)
    name = BACKBONES.canonical(name)
    traits = traits_of(name)
    pooling = traits.pooling if pooling is None else pooling
    if head == "none":
        embedding_size = feature_size(name, pooling)
    architecture = Architecture(
        backbone=name,
        embedding_size=embedding_size,
        head=head,
        pooling=pooling,
        l2_norm=l2_norm,
        norm=norm,
        background_size=background_size,
        uncertainty=uncertainty,
        uncertainty_norm=uncertainty_norm,
        image_size=(image_size or traits.input_spec.crop_size) if traits.is_sized else None,
    )
    normalisation = {"bn_freeze": bn_freeze, "bn_affine": bn_affine, "bn_momentum": bn_momentum}
    model = EmbeddingNet(architecture, head_init=head_init, drop_path=drop_path, **normalisation)
    if pretrained:
        remarks = load_imagenet_weights(model.backbone, name, weights)
        if weights is not None:
            model.started_from = StartedFrom("; ".join([f"starting from {weights}: the backbone", *remarks]))
    else:
        BACKBONE_INITS[backbone_init](model.backbone)
    return model
