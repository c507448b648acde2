"""Networks of timm (Wightman, github.com/huggingface/pytorch-image-models), by the names of its registry."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.backbones.base import OWN_POOLING, Backbone
from dml.models.backbones.traits import Traits
from dml.models.input_spec import InputSpec
from dml.registry import UnknownNameError

PREFIX = "timm/"
HUB = "hf-hub:"
NEAREST = 5


def import_timm() -> ModuleType:
    """The package. UserError, which says how to get it, where it is not installed."""
    try:
        import timm  # here: an extra, whose import takes as long as torch's
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise UserError(
            "networks named timm/... need the package timm, which is not installed: pip install timm, or"
            " pip install '.[timm]' in this repository"
        ) from error
    return timm


@cache
def timm_name(name: str) -> str:
    """``timm/NAME`` with the tag of its weights, by which the network's normalisation is known for good.

    Args:
        name: ``timm/`` and a name of timm's registry, with or without a tag; or ``timm/hf-hub:`` and a repository.

    Raises:
        UnknownNameError: timm has no such network; the message lists the nearest names.
        UserError: timm is not installed.
    """
    timm, own = import_timm(), name.removeprefix(PREFIX)
    if own.startswith(HUB):
        return name
    architecture, _, tag = own.partition(".")
    if timm.is_model(architecture):
        tags = [known.partition(".")[2] for known in timm.list_pretrained(architecture + ".*")]
        if tag and tag in tags:
            return name
        if not tag:
            tag = timm.get_pretrained_cfg(architecture).tag if tags else ""
            return f"{PREFIX}{architecture}.{tag}" if tag else name
        raise UnknownNameError(f"timm's {architecture} has no weights {tag!r}; there are {', '.join(tags) or 'none'}")
    close = difflib.get_close_matches(architecture, timm.list_models(), n=NEAREST, cutoff=0.5)
    nearest = f"The nearest: {', '.join(PREFIX + known for known in close)}. " if close else ""
    raise UnknownNameError(
        f'timm {timm.__version__} has no network {own!r}. {nearest}All: python -c "import timm;'
        ' print(timm.list_models())"'
    )


def build_network(name: str, **options: Any) -> Any:
    """timm's network without classifier, initialised at random.

    Args:
        name: see ``timm_name``.
        options: of ``timm.create_model``.

    Raises:
        UserError: timm cannot build it so.
    """
    timm, own = import_timm(), name.removeprefix(PREFIX)
    try:
        return timm.create_model(own, **{"pretrained": False, "num_classes": 0} | options)
    except Exception as error:  # whatever timm, the hub or a network's constructor say
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        asked = "".join(f", {option} {value}" for option, value in options.items())
        raise UserError(f"timm cannot build {own}{asked}: {said}") from error


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


def _lies_behind(matcher: dict[str, Any], names: list[str]) -> bool:
    """Whether the deepest group of parameters is what follows the last block, such as a last norm."""
    patterns = matcher["blocks"]
    patterns = [(patterns, None)] if isinstance(patterns, str) else patterns
    # timm gives 99999 to what belongs to the end.
    of_blocks = [pattern for pattern, place in patterns if place is None or place[0] < 1000]
    return not any(re.match(pattern, name) for pattern in of_blocks for name in names)


class TimmBackbone(Backbone):
    """A network of timm, as ``network``, initialised at random; stages ``stage1`` … are its intermediate maps.

    With the pooling ``pooling``, features are those that timm gives its classifier. Of a network whose last layer has
    other channels than its last intermediate map, that is one stage more, ``head``; one that does not tell its
    intermediate maps has that stage alone.

    Args:
        name: ``timm/`` and a name of timm's registry.
        image_size: side of the images in pixels, of networks that are built for one size; None: the network's own.
        drop_path: rate of stochastic depth at the last block.

    Raises:
        UserError: see ``timm_name`` and ``build_network``.
    """

    announced = staticmethod(survey)

    def __init__(self, name: str, *, image_size: int | None = None, drop_path: float = 0.0) -> None:
        super().__init__()
        self.name, known = timm_name(name), survey(name, image_size)
        options: dict[str, Any] = {} if image_size is None else {"img_size": image_size}
        if drop_path:
            options["drop_path_rate"] = drop_path
        self.network = build_network(self.name, **options)
        self.survey, self.image_size = known, image_size or known.input_spec.crop_size
        for trait in Traits.__dataclass_fields__:
            setattr(self, trait, getattr(known, trait))
        self.stage_channels = known.stage_channels

    @property
    def num_features(self) -> int:
        return self.survey.num_features

    @property
    def feature_size(self) -> int:
        return self.survey.feature_size

    @property
    def own_size(self) -> int:
        return self.survey.own_size

    def forward(self, images: Tensor) -> Tensor:
        return self._laid_out(self.network.forward_features(self._as_fast(images)))

    def forward_with_stages(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.survey.has_maps:
            output = self.forward(images)
            return output, {"head": self._as_map(output, None)}
        last, maps = self.network.forward_intermediates(self._as_fast(images), output_fmt="NCHW")
        output = self._laid_out(last)
        stages = dict(zip(self.stage_channels, maps, strict=False))
        # The last map is that of the output, normalised or with the channels of the head.
        stages[list(self.stage_channels)[-1]] = self._as_map(output, maps[-1])
        return output, stages

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        return self.forward_with_stages(images)[1]

    def _as_fast(self, images: Tensor) -> Tensor:
        """Convolutions between layers of batch normalisation are faster on channels that lie side by side."""
        return images.contiguous(memory_format=torch.channels_last) if self.has_batch_norm else images

    def _laid_out(self, last: Tensor) -> Tensor:
        return last.permute(0, 3, 1, 2) if self.survey.layout == "NHWC" else last

    def _as_map(self, output: Tensor, like: Tensor | None) -> Tensor:
        """(B, C, H, W), of tokens those that belong to places."""
        if output.ndim == 4:
            return output
        patches = output[:, self.num_prefix_tokens :].transpose(1, 2)
        height = like.shape[2] if like is not None else round(patches.shape[2] ** 0.5)
        return patches.unflatten(2, (height, -1))

    def after_pool(self, features: Tensor) -> Tensor:
        """timm's own head without classifier, whose pooling has nothing to do on a single place."""
        if self.pooling == OWN_POOLING:
            return features
        if self.survey.layout == "tokens":
            features = features[:, None].expand(-1, 1 + self.num_prefix_tokens, -1)
        else:
            features = features[:, :, None, None] if self.survey.layout == "NCHW" else features[:, None, None]
        return self.network.forward_head(features, pre_logits=True)

    def own_pool(self, output: Tensor) -> Tensor:
        """timm's own head without classifier."""
        if self.survey.layout == "NHWC":
            output = output.permute(0, 2, 3, 1)
        return self.network.forward_head(output, pre_logits=True)

    def blocks(self) -> tuple[list[list[nn.Parameter]], list[nn.Parameter]]:
        """As timm groups them for learning rates by depth."""
        from timm.models import group_parameters  # here: see import_timm

        parameters = dict(self.network.named_parameters())
        if not hasattr(self.network, "group_matcher"):
            raise UserError(f"{self.name}: timm does not say which of its parameters lie how deep")
        matcher = self.network.group_matcher(coarse=False)
        groups = group_parameters(self.network, matcher)
        blocks = [[parameters[name] for name in groups[depth]] for depth in sorted(groups)]
        return (blocks[:-1], blocks[-1]) if _lies_behind(matcher, groups[max(groups)]) else (blocks, [])

    def published_weights(self) -> dict[str, Tensor]:
        """Name → tensor, from timm's own cache or hub; whatever timm says where they cannot be had."""
        options = {"img_size": self.image_size} if self.is_sized else {}
        return build_network(self.name, pretrained=True, **options).state_dict()

    def recompute(self) -> None:
        try:
            self.network.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise UserError(f"--grad-checkpointing: timm's {self.name} has none: leave it out") from error

    def fit_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """What timm itself does with weights of other sizes of images, or under their first authors' names."""
        convert = getattr(sys.modules[type(self.network).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return state
        prefix = "network."
        own = {key.removeprefix(prefix): value for key, value in state.items()}
        try:
            converted = convert(own, self.network)
        except Exception:  # of weights that it was not written for; who loads them says what does not fit
            return state
        return {prefix + key: value for key, value in converted.items()}

    @staticmethod
    def from_published_key(key: str) -> str:
        """Published files have the names of timm's network, which is ``network`` here."""
        return f"network.{key}"
