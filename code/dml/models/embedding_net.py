"""The embedding network: backbone, global pooling, heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.models.architecture import HEADS, NORMS, Architecture
from dml.models.backbones import create_backbone
from dml.models.input_spec import InputSpec
from dml.models.pooling import Pooling
from dml.models.started_from import StartedFrom
from dml.normalize import l2_normalize
from dml.registry import Registry
from dml.structures import ModelOutput


def _kaiming(head: nn.Linear) -> None:
    nn.init.kaiming_normal_(head.weight, mode="fan_out")
    nn.init.zeros_(head.bias)


def _orthogonal(head: nn.Linear) -> None:
    nn.init.orthogonal_(head.weight)
    nn.init.zeros_(head.bias)


HEAD_INITS: Registry[Callable[[nn.Linear], None]] = Registry(
    "head initialisation",
    {"kaiming": _kaiming, "orthogonal": _orthogonal, "torch": nn.Linear.reset_parameters},
)


def _start(head: nn.Module | None, head_init: str) -> None:
    """Draw a linear head's weights anew, as ``head_init`` says."""
    if isinstance(head, nn.Linear):
        HEAD_INITS[head_init](head)


class EmbeddingNet(nn.Module):
    """A backbone, initialised at random, with global pooling and heads.

    Attributes:
        started_from: what its first weights were taken from, None without a checkpoint.
        layer_decay: learning rate of a block of the backbone in multiples of the next deeper one's; None: one for all.
        is_whole_frozen: whether all of the backbone stays as it is.

    Args:
        architecture: backbone, sizes, pooling, normalisation; kept as ``self.architecture``.
        head_init: how linear heads start: ``kaiming`` (normal, fan_out), ``orthogonal``, both with bias 0, or
            ``torch`` (``nn.Linear``'s default, which heads of two layers and the uncertainty head always have).
        bn_freeze: keep the running statistics of the backbone's batch normalisation fixed in training too, and
            construct its affine parameters with ``requires_grad`` off.
        bn_affine: with ``bn_freeze``, let the affine parameters train all the same.
        bn_momentum: m in ``running ← (1 − m) · running + m · batch``, the backbone's statistics if not frozen.
        drop_path: rate at which the backbone's last block is left out in training, see ``create_backbone``.

    What fine-tuning makes of the backbone is said by ``freeze`` and ``layer_decay``.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        head_init: str = "kaiming",
        bn_freeze: bool = False,
        bn_affine: bool = False,
        bn_momentum: float = 0.1,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.started_from: StartedFrom | None = None
        self.layer_decay: float | None = None
        self.is_whole_frozen = False
        self._frozen_names: frozenset[str] = frozenset()
        self._frozen_modules: list[nn.Module] = []
        self.bn_freeze = bn_freeze
        name, sizes = architecture.backbone, architecture
        self.backbone = create_backbone(name, image_size=sizes.image_size, drop_path=drop_path)
        self.pool = Pooling(sizes.pooling, self.backbone, name)
        self.normalize = NORMS[architecture.norm]
        width = self.pool.size
        linear = HEADS["linear"]
        # Drawn before the embedding, as published, so that a seed gives the published weights.
        background = linear(width, sizes.background_size) if sizes.background_size else None
        _start(background, head_init)
        self.embedding = HEADS[architecture.head](width, sizes.embedding_size)
        self.background = background
        self.uncertainty = linear(width, sizes.embedding_size) if sizes.uncertainty else None
        _start(self.embedding, head_init)  # after the uncertainty is drawn, as published
        for module in self._batch_norms():
            module.momentum = bn_momentum
        if bn_freeze:
            for module in self._batch_norms():
                module.requires_grad_(bn_affine)
            self.train(self.training)

    @property
    def input_spec(self) -> InputSpec:
        """The normalisation that the images need."""
        return self.backbone.input_spec

    @property
    def is_row_wise(self) -> bool:
        """Whether in training, too, what becomes of an image does not depend on the others of its batch."""
        return (self.bn_freeze or self.is_whole_frozen) and self.architecture.head != "mlp_bn"

    @property
    def num_features(self) -> int:
        """F, length of the pooled features."""
        return self.pool.size

    def forward(self, images: Tensor, stages: tuple[str, ...] = ()) -> ModelOutput:
        """(B, 3, H, W) normalised images → every output in float32, whatever the autocast; maps as they are.

        The embedding is unit length with ``l2_norm``, the uncertainty with ``uncertainty_norm``, the background
        embedding never. (B, F) rows are taken for features that were computed before.

        Args:
            stages: names of the backbone's stages whose maps are given, too.
        """
        if images.ndim == 2:
            return self._outputs(images)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_whole_frozen):
            output, maps = self.backbone.forward_with_stages(images) if stages else (self.backbone(images), {})
        given = self.forward_heads(output)
        given.maps = tuple(maps[name] for name in stages)
        return given

    def forward_heads(self, output: Tensor) -> ModelOutput:
        """What the backbone gives, a map or tokens → outputs."""
        return self._outputs(self.pool(output, self.backbone).float())

    def _outputs(self, features: Tensor) -> ModelOutput:
        embedding = self.embedding(features).float()
        background = None if self.background is None else self.background(features).float()
        uncertainty = None if self.uncertainty is None else self._uncertainty_of(features)
        if self.architecture.l2_norm:
            embedding = self.normalize(embedding)
        return ModelOutput(embedding, features, background, uncertainty)

    def _uncertainty_of(self, features: Tensor) -> Tensor:
        """(B, F) → (B, D) float32, of unit length with ``uncertainty_norm``.

        NOTE: without, the head reads the features' direction, not the features as published, so that uncertainties
        start at a squared length of about 2 D / 3 F (0.2 for 128 of 512), whatever the backbone. Features as they come,
        of length 50 and more, give hundreds, at which the introspective similarity of any two images is 1 and nothing
        learns.
        """
        if self.architecture.uncertainty_norm:
            return self.normalize(self.uncertainty(features).float())
        return self.uncertainty(l2_normalize(features)).float()

    def train(self, mode: bool = True) -> EmbeddingNet:
        """As ``nn.Module.train``, but with ``bn_freeze`` the backbone's normalisation stays in evaluation mode."""
        super().train(mode)
        if self.bn_freeze:
            for module in self._batch_norms():
                module.eval()
        for module in self._frozen_modules:
            module.eval()
        return self

    def freeze(self, blocks: int | None) -> None:
        """Keep the first ``blocks`` blocks of the backbone, or all of it, as they are: weights, statistics, no random
        depth.

        Args:
            blocks: of ``backbone.blocks()``, the stem among them; None: the whole backbone.

        Raises:
            UserError: it has not so many.
        """
        there = self.backbone.blocks()[0] if blocks is not None else []
        if blocks is not None and blocks > len(there):
            raise UserError(
                f"--freeze {blocks}: {self.architecture.backbone} has {len(there)} blocks, the stem among them;"
                " --freeze backbone takes all"
            )
        frozen = list(chain.from_iterable(there[:blocks])) if blocks is not None else list(self.backbone.parameters())
        self.is_whole_frozen = blocks is None
        ids = set(map(id, frozen))
        self._frozen_names = frozenset(name for name, p in self.backbone.named_parameters() if id(p) in ids)
        self._frozen_modules = [self.backbone] if blocks is None else list(self.backbone.modules_of(frozen))
        for parameter in frozen:
            parameter.requires_grad_(False)
        self.train(self.training)

    def new_parameters(self) -> Iterator[nn.Parameter]:
        """The heads' parameters, which never come from ImageNet."""
        return chain.from_iterable(head.parameters() for head in self._heads())

    def backbone_parameters(self) -> Iterator[nn.Parameter]:
        """All other parameters that train."""
        return (p for name, p in self.backbone.named_parameters() if name not in self._frozen_names)

    def rates_by_depth(self) -> list[tuple[str, float, list[nn.Parameter]]]:
        """Name, learning rate in multiples of the base rate and parameters of each part of the backbone that trains at
        a rate of its own, the deepest first; one part without ``layer_decay``."""
        trained = {id(parameter) for parameter in self.backbone_parameters()}
        if self.layer_decay is None:
            return [("backbone", 1.0, list(self.backbone_parameters()))]
        blocks, behind = self.backbone.blocks()
        parts = [("backbone_end", 1.0, behind)]
        for number in reversed(range(len(blocks))):
            parts.append((f"block_{number}", self.layer_decay ** (len(blocks) - number), blocks[number]))
        parts = [(name, scale, [p for p in parameters if id(p) in trained]) for name, scale, parameters in parts]
        return [part for part in parts if part[2]]

    def _heads(self) -> list[nn.Module]:
        return [head for head in (self.embedding, self.background, self.uncertainty, self.pool) if head is not None]

    def _batch_norms(self) -> Iterator[nn.Module]:
        kinds = (nn.BatchNorm2d, nn.SyncBatchNorm)
        return (module for module in self.backbone.modules() if isinstance(module, kinds))
