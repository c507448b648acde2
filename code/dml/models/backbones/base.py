"""What every backbone offers to the embedding network and to methods that match feature maps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from dml.models.input_spec import InputSpec


class Backbone(nn.Module, ABC):
    """A convolutional network without classifier, whose last stage is its output.

    Attributes:
        input_spec: the normalisation that its images need.
        stage_channels: name of each stage → number of channels of its map, in order of depth.
    """

    input_spec: ClassVar[InputSpec]
    stage_channels: dict[str, int]

    @property
    def num_features(self) -> int:
        """Channels of the last feature map."""
        return list(self.stage_channels.values())[-1]

    @abstractmethod
    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) images → stage name → (B, C_s, H_s, W_s) feature map, the last map last."""

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images → (B, num_features, H', W') last feature map."""
        return list(self.forward_stages(images).values())[-1]

    @staticmethod
    def from_published_key(key: str) -> str:
        """Our name of a parameter that the published files call ``key`` (without ``model.``)."""
        return key


def input_spec_of(build: Callable[[], Backbone]) -> InputSpec:
    """What the images of the backbone that ``build`` makes have to look like; nothing is made."""
    return (build.func if isinstance(build, partial) else build).input_spec
