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
        smallest_side: height and width, in pixels, of the smallest images that leave a map to every stage.
        has_batch_norm: whether there are layers of batch normalisation.
        stage_channels: name of each stage → number of channels of its map, in order of depth.
    """

    input_spec: ClassVar[InputSpec]
    smallest_side: ClassVar[int] = 1
    has_batch_norm: ClassVar[bool] = True
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


def class_of(build: Callable[[], Backbone]) -> type[Backbone]:
    """The class whose constructor an entry of a registry of backbones is, with some arguments or none."""
    return build.func if isinstance(build, partial) else build
