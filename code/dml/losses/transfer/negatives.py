"""Images of other classes, drawn at random on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError


class OtherClassSampler(nn.Module):
    """Draws, for given images, images of other classes, each with the same probability, with replacement.

    The images sorted by class are one row in which each class is a block: a position among the others' is drawn
    and moved past the own block. Memory is three integers per image or class, not a list per class, and a draw
    costs the same whatever their number. A position is 62 random bits modulo the number of others N', so its
    probability differs from 1 / N' by less than 1 part in 2⁶² / N'.

    Args:
        labels: (N,) int64 class of each image, 0 or more.

    Raises:
        UserError: if all images are of one class.
    """

    labels: Tensor
    by_class: Tensor
    block_starts: Tensor
    block_sizes: Tensor

    memory_buffers: tuple[str, ...] = ("labels", "by_class", "block_starts", "block_sizes")

    def __init__(self, labels: Tensor):
        super().__init__()
        sizes = torch.bincount(labels)
        if (sizes == len(labels)).any():
            raise UserError("negatives of other classes need images of at least two classes")
        # Follow from the data set, so they are not part of a checkpoint.
        self.register_buffer("labels", labels.clone(), persistent=False)
        self.register_buffer("by_class", labels.argsort(stable=True), persistent=False)
        self.register_buffer("block_starts", sizes.cumsum(0) - sizes, persistent=False)
        self.register_buffer("block_sizes", sizes, persistent=False)

    def draw(self, indices: Tensor, count: int) -> Tensor:
        """(B,) images → (B, count) int64 images of other classes, from torch's global RNG of the device."""
        own = self.labels[indices]
        sizes, starts = self.block_sizes[own][:, None], self.block_starts[own][:, None]
        bits = torch.randint(2**62, (len(indices), count), device=indices.device)
        positions = bits % (len(self.labels) - sizes)
        return self.by_class[positions + sizes * (positions >= starts)]
