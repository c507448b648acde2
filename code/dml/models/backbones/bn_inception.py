"""BN-Inception (Ioffe & Szegedy, ICML 2015, arXiv:1502.03167), in the form ported from Caffe."""

from __future__ import annotations

import re
from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional as F

from dml.models.backbones.base import Backbone
from dml.models.backbones.inception import Inception, init_convolutions
from dml.models.input_spec import CAFFE_BGR

# Channels per block: 1x1 | 3x3 reduce, 3x3 | double 3x3 reduce, double 3x3 | pool projection.
# A block without 1x1 and projection halves the resolution and passes its max-pooled input through.
_BLOCKS = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (None, 128, 160, 64, 96, None),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 128),
    "4d": (96, 128, 192, 160, 192, 128),
    "4e": (None, 128, 192, 192, 256, None),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}

# Layer of a published block → our branch and position in it.
_PUBLISHED_LAYERS = {
    "1x1": "1x1",
    "3x3_reduce": "3x3.0",
    "3x3": "3x3.1",
    "double_3x3_reduce": "double_3x3.0",
    "double_3x3_1": "double_3x3.1",
    "double_3x3_2": "double_3x3.2",
    "pool_proj": "pool.1",
}
_PUBLISHED_STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2_reduce", "conv2_3x3": "conv2"}


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU. The bias is redundant but part of every published file."""
    layers = OrderedDict(
        conv=nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2),
        bn=nn.BatchNorm2d(out_channels),
        relu=nn.ReLU(inplace=True),
    )
    return nn.Sequential(layers)


def _max_pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class _HalvingPool(nn.Module):
    """Maximum pooling that halves a map as the strided convolutions beside it do: n → ⌈n / 2⌉.

    NOTE: without a border, as published, a side of odd length would end one shorter, n → (n − 1) / 2, and the branches
    not fit together: at 56, 112 and 200 pixels, for instance. There the map has a border of one, which puts the windows
    where those of the convolutions are; sides of even length, of 224 and 227 pixels all, are pooled as published.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, ⌈H / 2⌉, ⌈W / 2⌉)."""
        return F.max_pool2d(x, 3, stride=2, padding=(x.shape[2] % 2, x.shape[3] % 2), ceil_mode=True)


def _block(name: str, channels: int) -> tuple[Inception, int]:
    """The block ``inception_<name>`` on ``channels`` input channels, and its number of output channels."""
    one, reduce3, out3, reduce_double, out_double, projection = _BLOCKS[name]
    stride = 2 if one is None else 1
    branches = OrderedDict()
    if one is not None:
        branches["1x1"] = _conv(channels, one, 1)
    branches["3x3"] = nn.Sequential(_conv(channels, reduce3, 1), _conv(reduce3, out3, 3, stride))
    branches["double_3x3"] = nn.Sequential(
        _conv(channels, reduce_double, 1),
        _conv(reduce_double, out_double, 3),
        _conv(out_double, out_double, 3, stride),
    )
    if projection is None:
        branches["pool"] = _HalvingPool()
        return Inception(branches), out3 + out_double + channels
    # Every block averages its neighbourhood, the last one takes the maximum.
    pool = nn.MaxPool2d if name == "5b" else nn.AvgPool2d
    branches["pool"] = nn.Sequential(pool(3, stride=1, padding=1), _conv(channels, projection, 1))
    return Inception(branches), one + out3 + out_double + projection


class BNInception(Backbone):
    """BN-Inception; stages are the maps after blocks 3c, 4e and 5b."""

    input_spec = CAFFE_BGR
    smallest_side = 7
    block_names = r"inception\.\d\w"

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 7, stride=2)
        self.pool1 = _max_pool()
        self.conv2_reduce = _conv(64, 64, 1)
        self.conv2 = _conv(64, 192, 3)
        self.pool2 = _max_pool()
        channels, self.stage_channels = 192, {}
        self.inception = nn.ModuleDict()
        for name in _BLOCKS:
            self.inception[name], channels = _block(name, channels)
            if name in ("3c", "4e", "5b"):
                self.stage_channels[name] = channels
        init_convolutions(self)

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        x = self.pool2(self.conv2(self.conv2_reduce(self.pool1(self.conv1(images)))))
        stages = {}
        for name, block in self.inception.items():
            x = self.run(block, x)
            if name in self.stage_channels:
                stages[name] = x
        return stages

    @staticmethod
    def from_published_key(key: str) -> str:
        """``inception_3a_double_3x3_1_bn.weight`` → ``inception.3a.double_3x3.1.bn.weight``."""
        match = re.fullmatch(r"(?:inception_(\d\w)_)?(\w+?)(_bn)?\.(\w+)", key)
        if match is None:
            return key
        block, layer, is_bn, parameter = match.groups()
        kind = "bn" if is_bn else "conv"
        if block is None:
            return f"{_PUBLISHED_STEM.get(layer, layer)}.{kind}.{parameter}"
        return f"inception.{block}.{_PUBLISHED_LAYERS.get(layer, layer)}.{kind}.{parameter}"
