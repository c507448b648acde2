"""The backbones of classification networks, by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from dml.errors import UserError
from dml.models.backbones.base import Backbone
from dml.models.backbones.resnet import ResNet
from dml.models.classifiers.cifar_resnet import CifarResNet
from dml.models.classifiers.depths import blocks_per_stage
from dml.models.classifiers.pyramidnet import PyramidNet
from dml.models.classifiers.small_resnet import SmallImageResNet
from dml.registry import Registry

Stems = Mapping[str, Callable[[], Backbone]]
"""Stem → constructor. "cifar" is the stem for images of 32 × 32 pixels."""

LARGEST_SMALL_IMAGE = 32  # pixels; larger crops get the ImageNet stem
DEFAULT_ALPHA = 240.0  # of a PyramidNet whose name tells none

CLASSIFIER_BACKBONES: Registry[Stems] = Registry(
    "classification network",
    {
        **{
            f"resnet{depth}": {
                "imagenet": partial(ResNet, depth=depth),
                "cifar": partial(SmallImageResNet, depth=depth),
            }
            for depth in (18, 34, 50, 101)
        },
        "pyramidnet200": {"cifar": partial(PyramidNet, depth=200, alpha=DEFAULT_ALPHA, bottleneck=True)},
    },
)

# Families whose members are named by what they are made with; few digits, lest a checkpoint's name ask for the moon.
NAMED_BY_DEPTH = ("pyramidnetDEPTH[_alphaALPHA][_basic]", "cifar_resnetDEPTH[_basic]")
_PYRAMIDNET = re.compile(r"pyramidnet(?P<depth>[1-9]\d{0,3})(_alpha(?P<alpha>[1-9]\d{0,3}(\.\d+)?))?(?P<basic>_basic)?")
_CIFAR_RESNET = re.compile(r"cifar_resnet(?P<depth>[1-9]\d{0,3})(?P<basic>_basic)?")


def pyramidnet_name(depth: int, alpha: float = DEFAULT_ALPHA, *, bottleneck: bool = True) -> str:
    """``pyramidnet110_alpha84_basic``, for instance; α of 240 goes without saying."""
    widening = "" if alpha == DEFAULT_ALPHA else f"_alpha{str(float(alpha)).removesuffix('.0')}"
    return f"pyramidnet{depth}{widening}{'' if bottleneck else '_basic'}"


def cifar_resnet_name(depth: int, *, bottleneck: bool = True) -> str:
    """``cifar_resnet56_basic``, for instance."""
    return f"cifar_resnet{depth}{'' if bottleneck else '_basic'}"


def classifier_backbone(name: str) -> Stems:
    """The stems of the network ``name``: one of ``CLASSIFIER_BACKBONES``, or of a family of ``NAMED_BY_DEPTH``.

    Raises:
        UnknownNameError: neither; lists the registry's names.
        UserError: a depth that the family does not have.
    """
    if name in CLASSIFIER_BACKBONES:
        return CLASSIFIER_BACKBONES[name]
    for pattern, network, title in (
        (_PYRAMIDNET, PyramidNet, "PyramidNet"),
        (_CIFAR_RESNET, CifarResNet, "CIFAR ResNet"),
    ):
        if found := pattern.fullmatch(name):
            options = {"depth": int(found["depth"]), "bottleneck": found["basic"] is None}
            blocks_per_stage(title, **options)
            if network is PyramidNet:
                options["alpha"] = float(found["alpha"] or DEFAULT_ALPHA)
            return {"cifar": partial(network, **options)}
    return CLASSIFIER_BACKBONES[name]


def classifier_with_stem(name: str, stem: str) -> Callable[[], Backbone]:
    """The constructor of the network ``name`` with that stem. UserError if it has none such; see
    ``classifier_backbone`` for other errors."""
    stems = classifier_backbone(name)
    if stem not in stems:
        raise UserError(f"{name} has no {stem} stem: --stem {' or '.join(stems)}")
    return stems[stem]


def default_stem(name: str, crop_size: int | None) -> str:
    """The stem of the network ``name`` for images of ``crop_size`` pixels; None: of its own size."""
    small = crop_size is not None and crop_size <= LARGEST_SMALL_IMAGE
    return "cifar" if small or "imagenet" not in classifier_backbone(name) else "imagenet"
