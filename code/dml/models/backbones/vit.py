"""ViT-B/16 (Dosovitskiy et al., ICLR 2021, arXiv:2010.11929) through torchvision."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dml.models.backbones.base import Backbone
from dml.models.input_spec import IMAGENET_RGB

POSITIONS = "encoder.pos_embedding"


class ViT(Backbone):
    """torchvision's ViT-B/16, initialised at random; stages ``block1`` … ``block12``, the last one normalised.

    Its output is the class token and one token for each patch, (B, 1 + H'·W', 768).

    Args:
        image_size: side of the images in pixels. Rows and columns beyond whole patches are left out.
    """

    input_spec = IMAGENET_RGB
    smallest_side = 16
    has_batch_norm = False
    pooling = "cls"
    num_prefix_tokens = 1
    has_class_token = True
    is_sized = True
    block_names = r"encoder\.layers\.encoder_layer_\d+"

    def __init__(self, *, image_size: int = IMAGENET_RGB.crop_size) -> None:
        super().__init__()
        from torchvision import models  # here: its import takes as long as torch's

        self.image_size, self.grid = image_size, image_size // 16
        network = models.vit_b_16(weights=None, image_size=self.grid * 16)
        self.conv_proj, self.class_token, self.encoder = network.conv_proj, network.class_token, network.encoder
        self.stage_channels = {f"block{number}": 768 for number in range(1, len(self.encoder.layers) + 1)}

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) images → (B, 1 + H'·W', 768) tokens, the class token first."""
        *_, last = self._after_each_block(images)
        return self.encoder.ln(last)

    def forward_with_stages(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        tokens = self._after_each_block(images)
        tokens[-1] = self.encoder.ln(tokens[-1])
        maps = (x[:, 1:].transpose(1, 2).unflatten(2, (self.grid, self.grid)) for x in tokens)
        return tokens[-1], dict(zip(self.stage_channels, maps, strict=True))

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        return self.forward_with_stages(images)[1]

    def _after_each_block(self, images: Tensor) -> list[Tensor]:
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)  # (B, H'·W', 768)
        x = torch.cat([self.class_token.expand(len(patches), -1, -1), patches], dim=1)
        if x.shape[1] != self.encoder.pos_embedding.shape[1]:
            raise ValueError(f"images of {tuple(images.shape[2:])} pixels; the network is built for {self.image_size}")
        x, found = self.encoder.dropout(x + self.encoder.pos_embedding), []
        for block in self.encoder.layers:
            x = self.run(block, x)
            found.append(x)
        return found

    def blocks(self) -> tuple[list[list[nn.Parameter]], list[nn.Parameter]]:
        """The last normalisation counts to the last block, as in timm."""
        blocks, behind = super().blocks()
        return [*blocks[:-1], blocks[-1] + behind], []

    def fit_state(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Position embeddings of another number of patches are scaled, by bicubic interpolation of their square."""
        given = state.get(POSITIONS)
        if given is None or given.ndim != 3 or given.shape == self.encoder.pos_embedding.shape:
            return state
        side = round((given.shape[1] - 1) ** 0.5)
        if side * side != given.shape[1] - 1:
            return state
        square = given[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        scaled = F.interpolate(square, size=(self.grid, self.grid), mode="bicubic", antialias=True)
        return state | {POSITIONS: torch.cat([given[:, :1], scaled.flatten(2).transpose(1, 2)], dim=1)}
