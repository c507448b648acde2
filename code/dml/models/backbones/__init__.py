"""Convolutional networks without their classifier, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dml.models.backbones.base import Backbone, class_of
from dml.models.backbones.bn_inception import BNInception
from dml.models.backbones.googlenet import GoogLeNet
from dml.models.backbones.inception_v1 import InceptionV1
from dml.models.backbones.resnet import ResNet
from dml.registry import Registry

BACKBONES: Registry[Callable[[], Backbone]] = Registry(
    "backbone",
    {
        "bn_inception": BNInception,
        "googlenet": GoogLeNet,
        "inception_v1": InceptionV1,
        "resnet18": partial(ResNet, depth=18),
        "resnet34": partial(ResNet, depth=34),
        "resnet50": partial(ResNet, depth=50),
        "resnet101": partial(ResNet, depth=101),
    },
    aliases={"bninception": "bn_inception"},  # the LSD repository's spelling
)

__all__ = ["BACKBONES", "Backbone", "class_of"]
