"""PyramidNets for images of 32 × 32 pixels (Han, Kim, Kim, CVPR 2017, arXiv:1610.02915)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dml.errors import UserError
from dml.models.backbones.base import Backbone
from dml.models.classifiers.depths import blocks_per_stage
from dml.models.input_spec import CIFAR_RGB

STEM_CHANNELS = 16


class PyramidBlock(nn.Module, ABC):
    """A block's branch plus its input, without ReLU after the sum.

    The shortcut has no parameters: averaged over 2 × 2 pixels where ``stride`` is 2, new channels filled with zeros.

    Attributes:
        out_channels: of the branch, at least as many as of the input.
    """

    expansion: ClassVar[int]

    def __init__(self, *, width: int, stride: int) -> None:
        super().__init__()
        self.out_channels, self.stride = width * self.expansion, stride

    @abstractmethod
    def branch(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H / stride, W / stride)."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, out_channels, H / stride, W / stride)."""
        out = self.branch(images)
        shortcut = images if self.stride == 1 else F.avg_pool2d(images, 2, ceil_mode=True)
        # Adding into the first channels is adding a shortcut padded with zeros, without building it.
        return torch.cat([out[:, : shortcut.shape[1]] + shortcut, out[:, shortcut.shape[1] :]], dim=1)


class PyramidBasic(PyramidBlock):
    """Two 3 × 3 convolutions, batch normalisation before each and after the last, no ReLU before the first."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__(width=width, stride=stride)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def branch(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, width, H / stride, W / stride)."""
        return self.bn3(self.conv2(self.relu(self.bn2(self.conv1(self.bn1(images))))))


class PyramidBottleneck(PyramidBlock):
    """The same with convolutions of 1 × 1, 3 × 3 and 1 × 1, the last of which widens to four times ``width``."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, *, stride: int = 1) -> None:
        super().__init__(width=width, stride=stride)
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.out_channels, kernel_size=1, bias=False)
        self.bn4 = nn.BatchNorm2d(self.out_channels)
        self.relu = nn.ReLU(inplace=True)

    def branch(self, images: Tensor) -> Tensor:
        """(B, in_channels, H, W) → (B, 4 · width, H / stride, W / stride)."""
        out = self.conv1(self.bn1(images))
        out = self.conv2(self.relu(self.bn2(out)))
        out = self.conv3(self.relu(self.bn3(out)))
        return self.bn4(out)


class PyramidNet(Backbone):
    """Three stages of equally many blocks, whose width grows by the same amount from each block to the next.

    Args:
        depth: 9n + 2 with bottlenecks, 6n + 2 without, for n blocks a stage.
        alpha: α, how much wider the last block is than the stem's 16 channels.
        bottleneck: blocks of three convolutions; False: of two.

    Raises:
        UserError: another depth, or α below 1.
    """

    input_spec = CIFAR_RGB

    def __init__(self, *, depth: int = 200, alpha: float = 240.0, bottleneck: bool = True) -> None:
        super().__init__()
        blocks = blocks_per_stage("PyramidNet", depth, bottleneck=bottleneck)
        if alpha < 1:
            raise UserError(f"a PyramidNet's alpha must be at least 1, got {alpha}")
        kind = PyramidBottleneck if bottleneck else PyramidBasic
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        channels, self.stage_channels = STEM_CHANNELS, {}
        width = float(STEM_CHANNELS)
        for stage in range(3):
            layers = []
            for block in range(blocks):
                width += alpha / (3 * blocks)  # summed, as published: a product would round some halves elsewhere
                layers.append(kind(channels, round(width), stride=2 if stage and not block else 1))
                channels = layers[-1].out_channels
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.stage_channels[f"layer{stage + 1}"] = channels
        self.bn_last = nn.BatchNorm2d(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        layer1 = self.layer1(self.bn1(self.conv1(images)))
        layer2 = self.layer2(layer1)
        layer3 = F.relu(self.bn_last(self.layer3(layer2)))
        return {"layer1": layer1, "layer2": layer2, "layer3": layer3}
