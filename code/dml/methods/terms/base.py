"""What can stand beside the loss of a training with labels, and what it sees of a step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dml.data.samplers import Sampler
from dml.methods.pieces import in_pieces
from dml.models import EmbeddingNet
from dml.normalize import widen
from dml.processes import gather_rows
from dml.structures import Batch, Progress


@dataclass(frozen=True)
class Seen:
    """A training step, as terms see it: N rows of all processes together.

    Attributes:
        batch: this process's images, with their labels and indices.
        embeddings: (N, D) the network's, in float32 or wider, with gradient.
        labels: (N,) int64.
        model: the network that is trained.
        progress: where the training stands.
        mixed: whether networks run in mixed precision, which terms themselves do not.
        pieces: into how many pieces a batch is cut for the networks, see ``in_pieces``.
    """

    batch: Batch
    embeddings: Tensor
    labels: Tensor
    model: EmbeddingNet
    progress: Progress
    mixed: bool = False
    pieces: int = 1

    def embeddings_by(self, network: nn.Module, images: Tensor | None = None) -> Tensor:
        """(N, D') what ``network`` makes of the batch's images, or of (V·B, 3, H, W) ``images`` in their place."""
        images = self.batch.images if images is None else images
        with torch.autocast(images.device.type, enabled=self.mixed):
            embedding = in_pieces(network, images, self.pieces).embedding
        return gather_rows(widen(embedding), self.batch.num_views)


class Term(nn.Module):
    """Something that a ``SupervisedMethod`` does beside its loss: each hook below is called when its name says.

    Everything that learns or counts is a parameter or buffer. Its state stands in last.pt under ``name``, and not in
    best.pt; parameters that learn do so at the base rate.

    Attributes:
        name: of its state; one of a kind.
        rows_of_images: its state names of tensors with a row for each training image, where there are such.
    """

    name: str
    rows_of_images: tuple[str, ...] = ()

    def log_name(self) -> str:
        """What it adds to the loss is recorded as ``train/`` this."""
        return f"{self.name}_loss"

    def plan(self, model: EmbeddingNet, sampler: Sampler, epoch: int) -> np.ndarray | None:
        """(num_batches, B) int64 batches in place of ``sampler.plan(epoch)``; None leaves that to the sampler.

        Called on all processes together. What it changes in the state it changes last: an epoch whose planning was
        interrupted is planned again.
        """
        return None

    def loss(self, seen: Seen) -> Tensor | None:
        """Scalar of the global batch that is added to the loss; None: nothing. Called outside of autocast."""
        return None

    def after_optimizer_step(self, model: EmbeddingNet) -> None:
        """Called after each optimiser step."""

    def end_epoch(self, model: EmbeddingNet) -> None:
        """Called after the last batch of an epoch and its evaluation, before the checkpoint is written."""

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """Its state ``saved`` by a run over other training images, for those of this one.

        Args:
            saved: name → tensor; those of ``rows_of_images`` are moved already.
            moved: (N,) int64 for each image then its number now; −1: it is gone.
        """
        return saved
