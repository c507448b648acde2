"""Network names of the LSD repository."""

from __future__ import annotations

import pytest

from dml.config import ModelConfig
from dml.models import model_from_config
from dml.models.arch_name import parse_arch
from dml.registry import UnknownNameError

FROZEN = {"bn_freeze": True, "bn_affine": True}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("resnet50", {"model": "resnet50"}),
        ("resnet50_frozen_normalize", {"model": "resnet50", **FROZEN, "l2_norm": True}),
        ("resnet50_normalize_frozen", {"model": "resnet50", **FROZEN, "l2_norm": True}),
        ("bninception_frozen_normalize", {"model": "bn_inception", **FROZEN, "l2_norm": True}),
        ("bn_inception_double", {"model": "bn_inception", "pooling": "avg_max"}),
        ("googlenet_he", {"model": "googlenet", "head_init": "kaiming"}),
        ("inception_v1", {"model": "inception_v1"}),
    ],
)
def test_names(name, values):
    assert parse_arch(name) == values


def test_unknown_backbones_and_endings():
    with pytest.raises(UnknownNameError, match="Valid: bn_inception"):
        parse_arch("resnet51_frozen")
    with pytest.raises(UnknownNameError, match="unknown backbone 'resnet50_frosen'"):
        parse_arch("resnet50_frosen_normalize")
    with pytest.raises(ValueError, match="twice"):
        parse_arch("resnet50_frozen_frozen")


def test_the_name_makes_the_network():
    """Statistics frozen, affine parameters alive, unit length."""
    plain = {"pretrained": False, "embedding_size": 4, "l2_norm": False, "bn_freeze": False, "pooling": "avg"}
    model = model_from_config(ModelConfig(**plain | parse_arch("resnet18_frozen_normalize")))
    norms = [module for name, module in model.train().named_modules() if name.endswith("bn1")]
    assert not any(module.training for module in norms)
    assert all(parameter.requires_grad for module in norms for parameter in module.parameters())
    assert model.architecture.l2_norm
