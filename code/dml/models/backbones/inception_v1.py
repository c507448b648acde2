"""The original GoogLeNet, Inception-v1 (Szegedy et al., CVPR 2015, arXiv:1409.4842), as STML trains it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from torch import Tensor, nn

from dml.models.backbones.base import Backbone
from dml.models.backbones.inception import Inception, init_convolutions
from dml.models.input_spec import CAFFE_BGR

# Channels per block: 1x1 | 3x3 reduce, 3x3 | 5x5 reduce, 5x5 | pool projection.
_BLOCKS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}

# Published layer → our layer, within the stem and within a block.
_PUBLISHED_STEM = {"conv1.7x7_s2": "conv1", "conv2.3x3_reduce": "conv2_reduce", "conv2.3x3": "conv2"}
_PUBLISHED_LAYERS = {
    "1x1": "1x1",
    "3x3_reduce": "3x3.0",
    "3x3": "3x3.1",
    "5x5_reduce": "5x5.0",
    "5x5": "5x5.1",
    "pool_proj": "pool.1",
}


class _Float32LRN(nn.LocalResponseNorm):
    """Local response normalisation in float32: squares of these activations overflow float16."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution and ReLU."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, relu=nn.ReLU(inplace=True)))


def _max_pool() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def _block(name: str, channels: int) -> tuple[Inception, int]:
    """The block ``inception_<name>`` on ``channels`` input channels, and its number of output channels."""
    one, reduce3, out3, reduce5, out5, projection = _BLOCKS[name]
    branches = OrderedDict()
    branches["1x1"] = _conv(channels, one, 1)
    branches["3x3"] = nn.Sequential(_conv(channels, reduce3, 1), _conv(reduce3, out3, 3))
    branches["5x5"] = nn.Sequential(_conv(channels, reduce5, 1), _conv(reduce5, out5, 5))
    branches["pool"] = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _conv(channels, projection, 1))
    return Inception(branches), one + out3 + out5 + projection


class InceptionV1(Backbone):
    """Inception-v1 with local response normalisation; stages are the maps after blocks 3b, 4e and 5b."""

    input_spec = replace(CAFFE_BGR, crop_size=227)
    smallest_side = 31
    has_batch_norm = False
    block_names = r"inception\.\d\w"

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv(3, 64, 7, stride=2)
        self.conv2_reduce = _conv(64, 64, 1)
        self.conv2 = _conv(64, 192, 3)
        self.lrn = _Float32LRN(size=5, alpha=1e-4, beta=0.75)
        self.pool = _max_pool()
        channels, self.stage_channels = 192, {}
        self.inception = nn.ModuleDict()
        for name in _BLOCKS:
            self.inception[name], channels = _block(name, channels)
            if name in ("3b", "4e", "5b"):
                self.stage_channels[name] = channels
        init_convolutions(self)

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        x = self.lrn(self.pool(self.conv1(images)))
        x = self.pool(self.lrn(self.conv2(self.conv2_reduce(x))))
        stages = {}
        for name, block in self.inception.items():
            x = self.run(block, self.pool(x) if name in ("4a", "5a") else x)
            if name in self.stage_channels:
                stages[name] = x
        return stages

    @staticmethod
    def from_published_key(key: str) -> str:
        """``features.inception_3a.b.3x3_reduce.weight`` → ``inception.3a.3x3.0.conv.weight``.

        The published ImageNet file has neither ``features.`` nor the letter of the branch:
        ``inception_3a.3x3_reduce.weight``.
        """
        layer, _, parameter = key.removeprefix("features.").rpartition(".")
        if layer in _PUBLISHED_STEM:
            return f"{_PUBLISHED_STEM[layer]}.conv.{parameter}"
        block, _, rest = layer.removeprefix("inception_").partition(".")
        name = rest.rpartition(".")[2]
        if name in _PUBLISHED_LAYERS:
            return f"inception.{block}.{_PUBLISHED_LAYERS[name]}.conv.{parameter}"
        return key
