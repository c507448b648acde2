"""ConvNeXt-T (Liu et al., CVPR 2022, arXiv:2201.03545) through torchvision."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from dml.models.backbones.base import Backbone
from dml.models.input_spec import IMAGENET_RGB


class ConvNeXt(Backbone):
    """torchvision's ConvNeXt-T, initialised at random; stages ``stage1`` … ``stage4``.

    Args:
        drop_path: share of the images that pass by the last block in training; of earlier ones less, in proportion.
    """

    input_spec = replace(IMAGENET_RGB, crop_pct=224 / 236)
    smallest_side = 32
    has_batch_norm = False
    pooling = "avg"
    has_drop_path = True
    block_names = r"features\.(?:[1357]\.\d+|\d)"

    def __init__(self, *, drop_path: float = 0.0) -> None:
        super().__init__()
        from torchvision import models  # here: its import takes as long as torch's

        network = models.convnext_tiny(weights=None, stochastic_depth_prob=drop_path)
        self.features, self.norm = network.features, network.classifier[0]
        self.stage_channels = {"stage1": 96, "stage2": 192, "stage3": 384, "stage4": 768}

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        x, stages = images, {}
        for number, part in enumerate(self.features):
            if number % 2 == 0:  # the stem and the downsampling layers
                x = part(x)
                continue
            for block in part:
                x = self.run(block, x)
            stages[f"stage{(number + 1) // 2}"] = x
        return stages

    def after_pool(self, features: Tensor) -> Tensor:
        """The layer normalisation that torchvision counts to its classifier."""
        return self.norm(features[:, :, None, None]).flatten(1)

    @staticmethod
    def from_published_key(key: str) -> str:
        """``classifier.0`` is the layer normalisation."""
        return key.replace("classifier.0.", "norm.")
