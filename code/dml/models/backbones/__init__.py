"""Networks without their classifier, convolutional or of tokens, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dml.errors import UserError
from dml.models.backbones.base import Backbone, class_of
from dml.models.backbones.bn_inception import BNInception
from dml.models.backbones.convnext import ConvNeXt
from dml.models.backbones.googlenet import GoogLeNet
from dml.models.backbones.inception_v1 import InceptionV1
from dml.models.backbones.mobilenet import MobileNet
from dml.models.backbones.resnet import ResNet
from dml.models.backbones.timm_names import PREFIX, timm_name
from dml.models.backbones.timm_network import TimmBackbone
from dml.models.backbones.traits import Traits
from dml.models.backbones.traits import traits_of as announced_by
from dml.models.backbones.vit import ViT
from dml.registry import Registry, UnknownNameError


class Backbones(Registry[Callable[..., Backbone]]):
    """The networks written out here, and those of timm as ``timm/NAME``."""

    def canonical(self, name: str) -> str:
        """As of every registry; of timm's networks with the tag of their weights. UserError without timm."""
        if name.startswith(PREFIX):
            return timm_name(name)
        try:
            return super().canonical(name)
        except UnknownNameError as error:
            raise UnknownNameError(f"{error}, and timm/NAME for every network of timm") from None

    def __getitem__(self, name: str) -> Callable[..., Backbone]:
        name = self.canonical(name)
        return partial(TimmBackbone, name) if name.startswith(PREFIX) else super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        if not (isinstance(name, str) and name.startswith(PREFIX)):
            return super().__contains__(name)
        try:
            self.canonical(name)
        except UserError:
            return False
        return True


BACKBONES = Backbones(
    "backbone",
    {
        "bn_inception": BNInception,
        "googlenet": GoogLeNet,
        "inception_v1": InceptionV1,
        "resnet18": partial(ResNet, depth=18),
        "resnet34": partial(ResNet, depth=34),
        "resnet50": partial(ResNet, depth=50),
        "resnet101": partial(ResNet, depth=101),
        "mobilenet_v2": partial(MobileNet, "mobilenet_v2"),
        "mobilenet_v3_small": partial(MobileNet, "mobilenet_v3_small"),
        "mobilenet_v3_large": partial(MobileNet, "mobilenet_v3_large"),
        "convnext_tiny": ConvNeXt,
        "vit_b_16": ViT,
    },
    aliases={"bninception": "bn_inception"},  # the LSD repository's spelling
)


def traits_of(name: str) -> Traits:
    """What is known of the backbone ``name`` before it is built. UnknownNameError if there is none."""
    return announced_by(BACKBONES[name])


def create_backbone(name: str, *, image_size: int | None = None, drop_path: float = 0.0) -> Backbone:
    """The backbone ``name``, initialised at random.

    Args:
        image_size: side of its images in pixels, where ``traits_of(name).is_sized``; elsewhere it says nothing.
        drop_path: rate at which the last block is left out in training; earlier ones less, in proportion.

    Raises:
        UnknownNameError: there is none.
        UserError: a ``drop_path`` of a network that has none, or a size that it cannot be built for.
    """
    traits, options = traits_of(name), {}
    if image_size is not None and traits.is_sized:
        options["image_size"] = image_size
    if drop_path:
        if not traits.has_drop_path:
            raise UserError(f"--drop-path: {name} has no blocks that can be left out at random: leave out the flag")
        options["drop_path"] = drop_path
    return BACKBONES[name](**options)


__all__ = ["BACKBONES", "PREFIX", "Backbone", "Traits", "class_of", "create_backbone", "traits_of"]
