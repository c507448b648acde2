"""The features of the training set that feature samplers choose batches by, from epoch to epoch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dml.data.samplers import FeatureSampler, Sampler
from dml.methods.base import Given
from dml.methods.terms.base import Seen, Term
from dml.models import EmbeddingNet
from dml.processes import gather_rows


class FeatureStorage(Term):
    """Embeddings of all training images: of one pass before training, each then of the last step that saw its image.

    So rows are as old as their images' last batch, and are of augmented images from then on, as published. With
    ``recompute`` a pass over the training set before every later epoch replaces them all.

    NOTE: that pass (``--data_idx_full_prec``) ends in an error in the published code. It is done here as written
    there, the change's momentum starting from zero.

    Args:
        embed: (N, D) embeddings of the training set by a network; called on all processes together.
        num_images: N.
        embedding_size: D.
        update: whether training steps renew the rows of their images.
        recompute: whether every later epoch starts from a pass of its own.
        momentum: m, of ``recompute``: with e the new embeddings and s what is stored, the change is
            c ← m · c + (1 − m) · (e − s), and stored is e + ``rate`` · c, ahead of the network; −1 or 0: stored is e.
        rate: how far ahead.
    """

    features: Tensor
    change: Tensor | None
    filled: Tensor

    name = "storage"
    rows_of_images = ("features", "change")
    memory_buffers: tuple[str, ...] = ("features", "change")
    """The same on every process: not to be sent around before each step."""

    def __init__(
        self,
        embed: Callable[[EmbeddingNet], Tensor],
        *,
        num_images: int,
        embedding_size: int,
        update: bool = True,
        recompute: bool = False,
        momentum: float = -1.0,
        rate: float = 1.0,
    ):
        super().__init__()
        self.embed, self.update, self.recompute, self.momentum, self.rate = embed, update, recompute, momentum, rate
        self.register_buffer("features", torch.zeros(num_images, embedding_size))
        self.register_buffer("change", torch.zeros(num_images, embedding_size) if momentum > 0 else None)
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))

    def plan(self, model: EmbeddingNet, sampler: Sampler, epoch: int) -> np.ndarray:
        """The sampler's plan by the stored features. TypeError for a sampler that does not take features."""
        if not isinstance(sampler, FeatureSampler):
            raise TypeError(f"{type(sampler).__name__} does not choose batches by features")
        features, change = self.for_epoch(model)
        sampler.set_features(features.cpu().numpy())
        plan = sampler.plan(epoch)
        self.keep(features, change)
        return plan

    def loss(self, seen: Seen) -> None:
        """Adds nothing to the loss; takes over what the step made of its images."""
        self.take_over(gather_rows(seen.batch.indices, seen.batch.num_views), seen.embeddings)

    @torch.no_grad()
    def for_epoch(self, model: EmbeddingNet) -> tuple[Tensor, Tensor | None]:
        """(N, D) features that the next epoch is planned by, and the change c with them, if there is momentum.

        Nothing is stored before ``keep``: an epoch whose planning was interrupted is planned again from the same state.
        """
        if self.filled and not self.recompute:
            return self.features, self.change
        embeddings = self.embed(model).to(self.features)
        if self.change is None or not self.filled:
            return embeddings, self.change
        change = self.change.lerp(embeddings - self.features, 1 - self.momentum)
        return embeddings + self.rate * change, change

    def keep(self, features: Tensor, change: Tensor | None) -> None:
        """Store what ``for_epoch`` gave, once the epoch is planned."""
        self.features.copy_(features)
        if change is not None:
            self.change.copy_(change)
        self.filled.fill_(True)

    @torch.no_grad()
    def take_over(self, indices: Tensor, embeddings: Tensor) -> None:
        """Store what a training step made of its images.

        Args:
            indices: (B,) int64, of all processes; of an image that occurs twice the last row counts.
            embeddings: (B, D) of the same images.
        """
        if not self.update:
            return
        places = torch.arange(len(indices), device=indices.device)
        last = torch.where(indices[:, None] == indices, places, -1).amax(dim=1)  # equal rows: no race on a GPU
        self.features[indices] = embeddings[last].to(self.features)

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """Where images are new, features are computed anew before the next epoch is planned."""
        if (moved >= 0).sum() < len(self.features):
            return saved | {"filled": torch.zeros_like(saved["filled"])}
        return saved


def build(given: Given[EmbeddingNet]) -> FeatureStorage | None:
    """What a sampler that looks at features is given."""
    settings = given.config.feature_sampling
    if settings is None:
        return None
    return FeatureStorage(
        given.embed_training_set,
        num_images=len(given.train),
        embedding_size=given.config.model.embedding_size,
        update=not settings.data_storage_no_update,
        recompute=settings.data_idx_full_prec,
        momentum=settings.data_mb_mom,
        rate=settings.data_mb_lr,
    )
