"""ResNets for images of 32 × 32 pixels."""

from __future__ import annotations

from torch import nn

from dml.models.backbones.resnet import ResNet
from dml.models.input_spec import CIFAR_RGB


class SmallImageResNet(ResNet):
    """A ResNet whose stem keeps the resolution: a 3 × 3 convolution of stride 1 and no maximum pooling.

    Everything after the stem is torchvision's. A map of 32 × 32 ends as 4 × 4.

    Args:
        depth: 18, 34, 50 or 101.
    """

    input_spec = CIFAR_RGB

    def __init__(self, *, depth: int) -> None:
        super().__init__(depth=depth)
        self.conv1 = nn.Conv2d(3, self.conv1.out_channels, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's others
        self.maxpool = nn.Identity()
