"""The ResNets that He et al. made for images of 32 × 32 pixels (CVPR 2016, arXiv:1512.03385, section 4.2)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from dml.models.backbones.base import Backbone
from dml.models.classifiers.depths import blocks_per_stage
from dml.models.input_spec import CIFAR_RGB

STEM_CHANNELS = 16


class CifarResNet(Backbone):
    """Three stages of 16, 32 and 64 channels, four times as many with bottlenecks, after a 3 × 3 convolution.

    NOTE: where the number of channels or the resolution changes, the shortcut is a 1 × 1 convolution, as in CutMix's
    code; the paper's has no parameters.

    Args:
        depth: 9n + 2 with bottlenecks, 6n + 2 without, for n blocks a stage.
        bottleneck: blocks of three convolutions; False: of two.

    Raises:
        UserError: another depth.
    """

    input_spec = CIFAR_RGB

    def __init__(self, *, depth: int, bottleneck: bool = True) -> None:
        super().__init__()
        from torchvision.models.resnet import BasicBlock, Bottleneck  # here: its import takes as long as torch's

        blocks = blocks_per_stage("CIFAR ResNet", depth, bottleneck=bottleneck)
        kind = Bottleneck if bottleneck else BasicBlock
        self.conv1 = nn.Conv2d(3, STEM_CHANNELS, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(STEM_CHANNELS)
        channels, self.stage_channels = STEM_CHANNELS, {}
        for stage in range(3):
            width, layers = STEM_CHANNELS * 2**stage, []
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(kind(channels, width, stride, _projection(channels, width * kind.expansion, stride)))
                channels = width * kind.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
            self.stage_channels[f"layer{stage + 1}"] = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        layer1 = self.layer1(F.relu(self.bn1(self.conv1(images))))
        layer2 = self.layer2(layer1)
        return {"layer1": layer1, "layer2": layer2, "layer3": self.layer3(layer2)}


def _projection(channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """The shortcut where the block's input does not fit its output; None where it does."""
    if stride == 1 and channels == out_channels:
        return None
    convolution = nn.Conv2d(channels, out_channels, kernel_size=1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))
