"""ResNet-18/34/50/101 (He et al., CVPR 2016, arXiv:1512.03385) through torchvision."""

from __future__ import annotations

from torch import Tensor

from dml.models.backbones.base import Backbone
from dml.models.input_spec import IMAGENET_RGB


class ResNet(Backbone):
    """torchvision's ResNet up to ``layer4``, initialised at random; stages ``layer1`` … ``layer4``.

    Args:
        depth: 18, 34, 50 or 101.
    """

    input_spec = IMAGENET_RGB
    block_names = r"layer\d\.\d+"

    def __init__(self, *, depth: int) -> None:
        super().__init__()
        from torchvision import models  # here: its import takes as long as torch's

        network = getattr(models, f"resnet{depth}")(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = network.conv1, network.bn1, network.relu, network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        expansion = network.fc.in_features // 512  # 1 for basic blocks, 4 for bottlenecks
        self.stage_channels = {f"layer{i}": 2 ** (5 + i) * expansion for i in (1, 2, 3, 4)}

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        stem = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        layer1 = self.run(self.layer1, stem)
        layer2 = self.run(self.layer2, layer1)
        layer3 = self.run(self.layer3, layer2)
        return {"layer1": layer1, "layer2": layer2, "layer3": layer3, "layer4": self.run(self.layer4, layer3)}
