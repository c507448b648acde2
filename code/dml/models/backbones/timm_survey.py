"""What the shapes of a network of timm tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.backbones.base import OWN_POOLING
from dml.models.backbones.timm_names import build_network, timm_name
from dml.models.backbones.traits import Traits
from dml.models.input_spec import InputSpec


@dataclass(frozen=True)
class Survey(Traits):
    """A network's traits, and what else its shapes tell.

    Attributes:
        layout: of the last layer: "NCHW", "NHWC" or "tokens".
        num_features: channels of the last layer.
        feature_size: length of a row of features behind the network's own head without classifier.
        own_size: the same, where the pooling is the network's own.
        stage_channels: see ``Backbone``.
        has_maps: whether there are intermediate maps.
    """

    layout: str
    num_features: int
    feature_size: int
    own_size: int
    stage_channels: dict[str, int]
    has_maps: bool


@cache
def survey(name: str, image_size: int | None = None) -> Survey:
    """Look at a network's shapes, which costs no numbers.

    Args:
        name: see ``timm_name``.
        image_size: of networks that are built for one size; None: the network's own.

    Raises:
        UserError: see ``timm_name`` and ``build_network``; or timm's network is none of images and features.
    """
    name = timm_name(name)
    options = {} if image_size is None else {"img_size": image_size}
    try:
        network, last, pooled, maps = _looked_at(name, options, image_size, device="meta")
    except UserError:  # some constructors compute with numbers
        network, last, pooled, maps = _looked_at(name, options, image_size, device="cpu")
    spec = _input_spec(network)
    if last.ndim not in (3, 4) or pooled.ndim != 2:
        raise UserError(f"{name} does not work as a backbone here: its last layer has shape {tuple(last.shape)}")
    layout = "tokens" if last.ndim == 3 else "NCHW" if last.shape[1] == network.num_features else "NHWC"
    num_features = last.shape[1] if layout == "NCHW" else last.shape[-1]
    prefix = getattr(network, "num_prefix_tokens", 0) if layout == "tokens" else None
    stages = {f"stage{number}": feature_map.shape[1] for number, feature_map in enumerate(maps, start=1)}
    if not maps or maps[-1].shape[1] != num_features:
        stages["head"] = num_features
    pooling = _pooling_of(network)
    named_size = pooled.shape[1] if pooling != OWN_POOLING else num_features
    info = getattr(network, "feature_info", None) or [{}]
    return Survey(
        input_spec=spec,
        smallest_side=info[-1].get("reduction", 32) if isinstance(info[-1], dict) else 32,
        has_batch_norm=any(isinstance(module, nn.BatchNorm2d) for module in network.modules()),
        pooling=pooling,
        num_prefix_tokens=prefix,
        has_class_token=bool(prefix) and prefix > (getattr(network, "num_reg_tokens", 0) or 0),
        is_sized=bool(network.pretrained_cfg.get("fixed_input_size")),
        has_drop_path=_takes_drop_path(name),
        layout=layout,
        num_features=num_features,
        feature_size=named_size,
        own_size=pooled.shape[1],
        stage_channels=stages,
        has_maps=bool(maps),
    )


def _looked_at(
    name: str, options: dict[str, Any], image_size: int | None, *, device: str
) -> tuple[Any, Tensor, Tensor, list[Tensor]]:
    """A network on ``device``; its last layer, pooled features and intermediate maps of one image. UserError."""
    with torch.device(device):
        network = build_network(name, **options).eval()
    side = image_size or _input_spec(network).crop_size
    images = torch.empty(1, 3, side, side, device=device)
    try:
        with torch.no_grad():
            last = network.forward_features(images)
            pooled = network.forward_head(last, pre_logits=True)
            return network, last, pooled, _intermediate_maps(network, images)
    except Exception as error:  # of whatever timm's modules are made of
        raise UserError(f"{name} does not work as a backbone here, on images of {side} pixels: {error}") from error


def _input_spec(network: Any) -> InputSpec:
    given = network.pretrained_cfg
    return InputSpec(
        mean=tuple(given["mean"]),
        std=tuple(given["std"]),
        bgr=False,
        scale=1.0,
        crop_size=given["input_size"][-1],
        crop_pct=given["crop_pct"],
        interpolation=given["interpolation"],
    )


def _pooling_of(network: nn.Module) -> str:
    """What our poolings call the one that timm's network has."""
    is_attentive = any("AttentionPool" in type(module).__name__ for module in network.modules())
    is_spread = any(module.weight.shape[2] > 1 for module in _convolutions(getattr(network, "pre_logits", None)))
    if is_attentive or is_spread or hasattr(network, "dist_token"):
        return OWN_POOLING
    for owner in (network, getattr(network, "head", None)):
        found = getattr(owner, "global_pool", None)
        kind = found if isinstance(found, str) else getattr(found, "pool_type", None)
        if kind is not None:
            return {"token": "cls", "avg": "avg", "fast": "avg", "": "avg"}.get(kind, OWN_POOLING)
    return "avg"


def _convolutions(module: nn.Module | None) -> Iterator[nn.Conv2d]:
    return (part for part in (() if module is None else module.modules()) if isinstance(part, nn.Conv2d))


def _intermediate_maps(network: nn.Module, images: Tensor) -> list[Tensor]:
    """(B, C, H, W) each; none of a network that does not tell them."""
    if not hasattr(network, "forward_intermediates"):
        return []
    return list(network.forward_intermediates(images, output_fmt="NCHW", intermediates_only=True))


def _takes_drop_path(name: str) -> bool:
    try:
        with torch.device("meta"):
            network = build_network(name, drop_path_rate=0.5)
    except UserError:
        return False
    return any(type(module).__name__ == "DropPath" for module in network.modules())
