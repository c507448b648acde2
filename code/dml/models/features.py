"""Networks to be judged by something else than the embeddings that they were trained to give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from dml.config import EvaluateConfig
from dml.models.backbones import traits_of
from dml.models.convert import LoadedModel, load_model_checkpoint
from dml.models.create import create_model
from dml.models.embedding_net import EmbeddingNet
from dml.models.reading import load_checked


def network_to_judge(config: EvaluateConfig) -> LoadedModel:
    """The network of ``--ckpt``, else of ``--model``; with ``--head none`` its pooled features are what it gives.

    Raises:
        UserError: a file that is no checkpoint; see ``untrained``.
    """
    loaded = load_model_checkpoint(Path(config.ckpt)) if config.ckpt else untrained(config)
    return loaded if config.head is None else without_head(loaded)


def untrained(config: EvaluateConfig) -> LoadedModel:
    """The network of ``--model``, with published or random weights and no head, for images of ``--crop-size``.

    Raises:
        UnknownNameError: there is none.
        UserError: settings that do not fit it, weights that cannot be had or are of another network.
    """
    model = create_model(
        config.model,
        head="none",
        l2_norm=False,
        pretrained=config.pretrained,
        weights=config.weights,
        pooling=config.pooling,
        image_size=config.crop_size,
    ).eval()
    origin = "pretrained weights" if config.pretrained else "random weights"
    if model.started_from is not None:
        origin = model.started_from.told
    return LoadedModel(model, model.architecture, origin)


def without_head(loaded: LoadedModel) -> LoadedModel:
    """The same network, whose embedding are the pooled features."""
    model = loaded.model
    model.architecture = replace(model.architecture, head="none", embedding_size=model.num_features)
    model.embedding = nn.Identity()
    return replace(loaded, architecture=model.architecture)


def for_images_of(loaded: LoadedModel, side: int | None) -> LoadedModel:
    """The same network for images of ``side`` × ``side`` pixels, to which position embeddings are resampled.

    Networks without, and images of the network's own size, leave it as it is.

    Args:
        side: None: those that it was trained on.
    """
    model, own = loaded.model, loaded.architecture.image_size
    if side is None or own is None or side == own or not traits_of(loaded.architecture.backbone).is_sized:
        return loaded
    resized = EmbeddingNet(replace(loaded.architecture, image_size=side))
    state = resized.backbone.fit_state(model.backbone.state_dict())
    load_checked(resized.backbone, state, f"{loaded.architecture.backbone} for images of {side} pixels")
    for name, child in model.named_children():
        if name != "backbone":
            resized.add_module(name, child)
    resized.architecture = replace(loaded.architecture, image_size=side)
    return replace(loaded, model=resized.eval(), architecture=resized.architecture)
