"""What every backbone offers to the embedding network and to methods that match feature maps."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from dml.errors import UserError
from dml.models.input_spec import InputSpec

OWN_POOLING = "own"
"""Whatever the network itself does between its last layer and its classifier."""


class Backbone(nn.Module, ABC):
    """A network without classifier, convolutional or of tokens.

    Attributes:
        input_spec: the normalisation that its images need.
        smallest_side: height and width, in pixels, of the smallest images that leave a map to every stage.
        has_batch_norm: whether there are layers of batch normalisation.
        pooling: what makes a row of features of the last layer where nobody says otherwise, a name of ``POOLINGS``.
        num_prefix_tokens: of a network of tokens: how many of them, the first ones, belong to no place in the image: a
            class token and registers. None: its output is a map.
        has_class_token: whether the first token is one of the whole image.
        is_sized: whether it is built for images of one size, by its position embeddings; then the constructor takes
            ``image_size``.
        has_drop_path: whether blocks can be left out at random in training; then the constructor takes ``drop_path``.
        block_names: matches the names of parameters up to the number of the block that they are in. Those before the
            first block are the stem, which counts as a block; those behind the last one are in none.
        stage_channels: name of each stage → number of channels of its map, in order of depth.
    """

    input_spec: ClassVar[InputSpec]
    smallest_side: ClassVar[int] = 1
    has_batch_norm: ClassVar[bool] = True
    pooling: ClassVar[str] = "avg_max"
    num_prefix_tokens: ClassVar[int | None] = None
    has_class_token: ClassVar[bool] = False
    is_sized: ClassVar[bool] = False
    has_drop_path: ClassVar[bool] = False
    block_names: ClassVar[str] = r"\w+"
    stage_channels: dict[str, int]
    _recomputes: bool = False

    @property
    def num_features(self) -> int:
        """Channels of the last layer."""
        return list(self.stage_channels.values())[-1]

    @property
    def feature_size(self) -> int:
        """Length of what ``after_pool`` gives."""
        return self.num_features

    @property
    def own_size(self) -> int:
        """Length of what ``own_pool`` gives."""
        return self.feature_size

    @abstractmethod
    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        """(B, 3, H, W) images → stage name → (B, C_s, H_s, W_s) feature map, in order of depth."""

    def forward_with_stages(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``forward`` and ``forward_stages`` in one pass."""
        stages = self.forward_stages(images)
        return list(stages.values())[-1], stages

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images → last layer: (B, num_features, H', W') map, or (B, N, num_features) tokens."""
        return self.forward_with_stages(images)[0]

    def after_pool(self, features: Tensor) -> Tensor:
        """(B, num_features) → (B, feature_size): what the network does behind its pooling and before its classifier."""
        return features

    def own_pool(self, output: Tensor) -> Tensor:
        """What ``forward`` gives → (B, feature_size) by the network's own pooling; where ``pooling`` is ``own``."""
        raise UserError(f"--pooling {OWN_POOLING}: {type(self).__name__} has no pooling that has not a name here")

    def blocks(self) -> tuple[list[list[nn.Parameter]], list[nn.Parameter]]:
        """Parameters of each block in order of depth, the stem first; and those behind the last block."""
        found: dict[str, list[nn.Parameter]] = {"": []}
        behind: list[nn.Parameter] = []
        for name, parameter in self.named_parameters():
            match = re.match(self.block_names, name)
            if match is not None:
                found.setdefault(match[0], []).append(parameter)
            elif len(found) == 1:
                found[""].append(parameter)
            else:
                behind.append(parameter)
        return [block for block in found.values() if block], behind

    def modules_of(self, parameters: Sequence[nn.Parameter]) -> Iterator[nn.Module]:
        """The modules of which every parameter, one at least, is among ``parameters``."""
        given = set(map(id, parameters))
        for module in self.modules():
            own = [id(parameter) for parameter in module.parameters()]
            if own and given.issuperset(own):
                yield module

    def recompute(self) -> None:
        """Compute the activations within blocks again in the backward pass instead of keeping them. UserError where
        that cannot be."""
        self._recomputes = True

    def run(self, module: nn.Module, x: Tensor) -> Tensor:
        """``module(x)``, computed again in the backward pass after ``recompute``."""
        if self._recomputes and self.training and torch.is_grad_enabled():
            return checkpoint(module, x, use_reentrant=False)
        return module(x)

    def fit_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of this network for images of another size → for those of its own."""
        return state

    @staticmethod
    def from_published_key(key: str) -> str:
        """Our name of a parameter that the published files call ``key`` (without ``model.``)."""
        return key


def class_of(build: Callable[..., Backbone]) -> type[Backbone]:
    """The class whose constructor an entry of a registry of backbones is, with some arguments or none."""
    return build.func if isinstance(build, partial) else build
