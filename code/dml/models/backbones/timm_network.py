"""Networks of timm (Wightman, github.com/huggingface/pytorch-image-models), by the names of its registry."""

from __future__ import annotations

import re
import sys
from typing import Any

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.backbones.base import OWN_POOLING, Backbone
from dml.models.backbones.timm_names import build_network, timm_name
from dml.models.backbones.timm_survey import survey
from dml.models.backbones.traits import Traits


def _lies_behind(matcher: dict[str, Any], names: list[str]) -> bool:
    """Whether the deepest group of parameters is what follows the last block, such as a last norm."""
    patterns = matcher["blocks"]
    patterns = [(patterns, None)] if isinstance(patterns, str) else patterns
    # timm gives 99999 to what belongs to the end.
    of_blocks = [pattern for pattern, place in patterns if place is None or place[0] < 1000]
    return not any(re.match(pattern, name) for pattern in of_blocks for name in names)


class TimmBackbone(Backbone):
    """A network of timm, as ``network``, initialised at random; stages ``stage1`` … are its intermediate maps.

    With the pooling ``pooling``, features are those that timm gives its classifier. Of a network whose last layer has
    other channels than its last intermediate map, that is one stage more, ``head``; one that does not tell its
    intermediate maps has that stage alone.

    Args:
        name: ``timm/`` and a name of timm's registry.
        image_size: side of the images in pixels, of networks that are built for one size; None: the network's own.
        drop_path: rate of stochastic depth at the last block.

    Raises:
        UserError: see ``timm_name`` and ``build_network``.
    """

    announced = staticmethod(survey)

    def __init__(self, name: str, *, image_size: int | None = None, drop_path: float = 0.0) -> None:
        super().__init__()
        self.name, known = timm_name(name), survey(name, image_size)
        options: dict[str, Any] = {} if image_size is None else {"img_size": image_size}
        if drop_path:
            options["drop_path_rate"] = drop_path
        self.network = build_network(self.name, **options)
        self.survey, self.image_size = known, image_size or known.input_spec.crop_size
        for trait in Traits.__dataclass_fields__:
            setattr(self, trait, getattr(known, trait))
        self.stage_channels = known.stage_channels

    @property
    def num_features(self) -> int:
        return self.survey.num_features

    @property
    def feature_size(self) -> int:
        return self.survey.feature_size

    @property
    def own_size(self) -> int:
        return self.survey.own_size

    def forward(self, images: Tensor) -> Tensor:
        return self._laid_out(self.network.forward_features(self._as_fast(images)))

    def forward_with_stages(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.survey.has_maps:
            output = self.forward(images)
            return output, {"head": self._as_map(output, None)}
        last, maps = self.network.forward_intermediates(self._as_fast(images), output_fmt="NCHW")
        output = self._laid_out(last)
        stages = dict(zip(self.stage_channels, maps, strict=False))
        # The last map is that of the output, normalised or with the channels of the head.
        stages[list(self.stage_channels)[-1]] = self._as_map(output, maps[-1])
        return output, stages

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        return self.forward_with_stages(images)[1]

    def _as_fast(self, images: Tensor) -> Tensor:
        """Convolutions between layers of batch normalisation are faster on channels that lie side by side."""
        return images.contiguous(memory_format=torch.channels_last) if self.has_batch_norm else images

    def _laid_out(self, last: Tensor) -> Tensor:
        return last.permute(0, 3, 1, 2) if self.survey.layout == "NHWC" else last

    def _as_map(self, output: Tensor, like: Tensor | None) -> Tensor:
        """(B, C, H, W), of tokens those that belong to places."""
        if output.ndim == 4:
            return output
        patches = output[:, self.num_prefix_tokens :].transpose(1, 2)
        height = like.shape[2] if like is not None else round(patches.shape[2] ** 0.5)
        return patches.unflatten(2, (height, -1))

    def after_pool(self, features: Tensor) -> Tensor:
        """timm's own head without classifier, whose pooling has nothing to do on a single place."""
        if self.pooling == OWN_POOLING:
            return features
        if self.survey.layout == "tokens":
            features = features[:, None].expand(-1, 1 + self.num_prefix_tokens, -1)
        else:
            features = features[:, :, None, None] if self.survey.layout == "NCHW" else features[:, None, None]
        return self.network.forward_head(features, pre_logits=True)

    def own_pool(self, output: Tensor) -> Tensor:
        """timm's own head without classifier."""
        if self.survey.layout == "NHWC":
            output = output.permute(0, 2, 3, 1)
        return self.network.forward_head(output, pre_logits=True)

    def blocks(self) -> tuple[list[list[nn.Parameter]], list[nn.Parameter]]:
        """As timm groups them for learning rates by depth."""
        from timm.models import group_parameters  # here: see import_timm

        parameters = dict(self.network.named_parameters())
        if not hasattr(self.network, "group_matcher"):
            raise UserError(f"{self.name}: timm does not say which of its parameters lie how deep")
        matcher = self.network.group_matcher(coarse=False)
        groups = group_parameters(self.network, matcher)
        blocks = [[parameters[name] for name in groups[depth]] for depth in sorted(groups)]
        return (blocks[:-1], blocks[-1]) if _lies_behind(matcher, groups[max(groups)]) else (blocks, [])

    def published_weights(self) -> dict[str, Tensor]:
        """Name → tensor, from timm's own cache or hub; whatever timm says where they cannot be had."""
        options = {"img_size": self.image_size} if self.is_sized else {}
        return build_network(self.name, pretrained=True, **options).state_dict()

    def recompute(self) -> None:
        try:
            self.network.set_grad_checkpointing(True)
        except (AttributeError, AssertionError) as error:
            raise UserError(f"--grad-checkpointing: timm's {self.name} has none: leave it out") from error

    def fit_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """What timm itself does with weights of other sizes of images, or under their first authors' names."""
        convert = getattr(sys.modules[type(self.network).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return state
        prefix = "network."
        own = {key.removeprefix(prefix): value for key, value in state.items()}
        try:
            converted = convert(own, self.network)
        except Exception:  # of weights that it was not written for; who loads them says what does not fit
            return state
        return {prefix + key: value for key, value in converted.items()}

    @staticmethod
    def from_published_key(key: str) -> str:
        """Published files have the names of timm's network, which is ``network`` here."""
        return f"network.{key}"
