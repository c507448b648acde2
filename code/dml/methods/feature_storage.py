"""The features of the training set that feature samplers choose batches by, from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dml.models import EmbeddingNet


class FeatureStorage(nn.Module):
    """Embeddings of all training images, renewed before every epoch by one pass over them.

    NOTE: the published samplers overwrite the stored rows of each batch as it is trained on, so rows are as old as
    their last batch; here they are all of one network, for one evaluation pass an epoch, and a continued run finds
    them again.

    Args:
        embed: (N, D) embeddings of the training set by a network; called on all processes together.
        num_images: N.
        embedding_size: D.
        update: whether later epochs renew what the first one stored.
        momentum: m: the change that is taken over is ``m · last change + (1 − m) · (new − stored)``; −1: all of it.
        rate: share of that change.
    """

    memory_buffers: tuple[str, ...] = ("features", "change")
    """The same on every process: not to be sent around before each step."""

    def __init__(
        self,
        embed: Callable[[EmbeddingNet], Tensor],
        *,
        num_images: int,
        embedding_size: int,
        update: bool = True,
        momentum: float = -1.0,
        rate: float = 1.0,
    ):
        super().__init__()
        self.embed, self.update_later, self.momentum, self.rate = embed, update, momentum, rate
        self.register_buffer("features", torch.zeros(num_images, embedding_size))
        self.register_buffer("change", torch.zeros(num_images, embedding_size) if momentum > 0 else None)
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def renew(self, model: EmbeddingNet) -> Tensor:
        """(N, D) features for the next epoch."""
        if not self.filled:
            self.features.copy_(self.embed(model))
            self.filled.fill_(True)
        elif self.update_later:
            change = self.embed(model).to(self.features) - self.features
            if self.change is not None:
                change = self.change.mul_(self.momentum).add_(change, alpha=1 - self.momentum)
            self.features.add_(change, alpha=self.rate)
        return self.features
