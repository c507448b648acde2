"""Which sizes of images the networks take: all from the smallest that they announce."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from dml.models.backbones import BACKBONES
from dml.models.backbones.base import class_of
from dml.models.backbones.bn_inception import BNInception
from dml.models.classifiers import classifier_backbone

NETWORKS = {name: BACKBONES[name] for name in BACKBONES}
NETWORKS |= {
    f"{name} {stem}": build
    for name in ("resnet18", "resnet50", "pyramidnet20_alpha60", "pyramidnet8_basic", "cifar_resnet11")
    for stem, build in classifier_backbone(name).items()
    if stem == "cifar"
}
# For BN-Inception, whose branches halve a map each by itself: every remainder by 32, and the published sizes.
EVERY_KIND = (*range(33, 65), 72, 80, 112, 144, 200, 224, 227, 256)
FEW = (33, 56, 112, 227)


def maps(build: Callable[..., nn.Module], side: int) -> list[tuple[int, int]]:
    """Height and width of the map of each stage, computed without numbers."""
    with torch.device("meta"):
        network = (build(image_size=side) if class_of(build).is_sized else build()).eval()
    stages = network.forward_stages(torch.empty(1, 3, side, side, device="meta"))
    return [tuple(stage.shape[2:]) for stage in stages.values()]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_size_from_the_smallest_on_works(name):
    network = NETWORKS[name]
    smallest = class_of(network).smallest_side
    for side in (smallest, smallest + 1, *(EVERY_KIND if name == "bn_inception" else FEW)):
        assert all(height == width >= 1 for height, width in maps(network, side)), side
    if smallest > 1:
        with pytest.raises((RuntimeError, ValueError, ZeroDivisionError)):
            maps(network, smallest - 1)


@pytest.mark.parametrize("side", [7, 56, 75])
def test_bn_inception_trains_where_its_maps_are_odd(side):
    torch.manual_seed(0)
    network = BNInception().train()
    network(torch.randn(2, 3, side, side)).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def halving_pool() -> nn.Module:
    return BNInception().inception["3c"]["pool"]


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (4, 6)])
def test_even_maps_are_pooled_as_published(shape):
    x = torch.randn(2, 5, *shape)
    assert torch.equal(halving_pool()(x), F.max_pool2d(x, 3, stride=2, ceil_mode=True))


def test_odd_maps_are_pooled_around_every_other_position():
    """As the strided convolutions beside the pool take them; each side by its own parity."""
    x = torch.arange(35.0).reshape(1, 1, 7, 5) - 50
    assert torch.equal(halving_pool()(x), x[..., [1, 3, 5, 6], :][..., [1, 3, 4]])
    assert torch.equal(halving_pool()(x[..., :4]), x[..., [1, 3, 5, 6], :][..., [2, 3]])
