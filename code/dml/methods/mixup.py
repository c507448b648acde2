"""Mixup beside the plain batch, as IDML trains (METHODS §15; Zhang et al., mixup, ICLR 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dml.methods import supervised
from dml.methods.base import Given
from dml.methods.supervised import SupervisedMethod
from dml.models import EmbeddingNet
from dml.processes import exchange_rows, gather_rows, world_size
from dml.structures import Batch, Progress, StepOutput


class Mixed(NamedTuple):
    """A batch mixed with the global one in another order.

    Attributes:
        images: (B, 3, H, W) λ · images + (1 − λ) · partners' images.
        partner_labels: (B,) int64.
        share: () λ, the same for all.
    """

    images: Tensor
    partner_labels: Tensor
    share: Tensor


def mix(batch: Batch) -> Mixed:
    """Mix each image with another of the global batch, in shares λ and 1 − λ, λ ~ Beta(1, 1), which is uniform in 0..1.

    Order and λ come from torch's global generator on the CPU, which draws the same in every process and whose state
    checkpoints hold; partners that another process has are fetched from there.
    """
    order, share = torch.randperm(len(batch) * world_size()), torch.rand(())
    partners, labels = (exchange_rows(rows, order, batch.num_views) for rows in (batch.images, batch.labels))
    share = share.to(batch.images.device)
    return Mixed(torch.lerp(partners, batch.images, share), labels, share)


class MixupMethod(SupervisedMethod):
    """Adds to the loss L of the batch what the mixed batch costs: λ · L with the labels, 1 − λ with the partners'.

    Plain and mixed images pass the network together where batch normalisation is frozen, which gives what two passes
    would; where it works on the batch they pass one after the other, lest each be normalised by the other's
    statistics. A step costs two plain ones either way.

    The mixed batch leaves the state of a loss alone (memories, counters): its labels are true in part only.
    """

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The plain step, and the loss of the global mixed batch."""
        mixed = mix(batch)
        rows, mixed_rows = self._both_rows(batch, mixed.images)
        step = self.judge(rows, batch, progress)
        labels, partners = (gather_rows(part, batch.num_views) for part in (batch.labels, mixed.partner_labels))
        with leaving_state_alone(self.criterion):
            own, other = self.ranking_loss(mixed_rows, labels), self.ranking_loss(mixed_rows, partners)
        extra = mixed.share * own + (1 - mixed.share) * other
        logs = {"plain_loss": step.loss.detach(), "mixup_loss": extra.detach()}
        return StepOutput(step.loss + extra, step.logs | logs)

    def _both_rows(self, batch: Batch, mixed_images: Tensor) -> tuple[Tensor, Tensor]:
        if self.model.is_row_wise:
            both = self.describe(torch.cat([batch.images, mixed_images]), 2 * batch.num_views)
            return both.chunk(2)
        return self.describe(batch.images, batch.num_views), self.describe(mixed_images, batch.num_views)


@contextmanager
def leaving_state_alone(criterion: nn.Module) -> Iterator[None]:
    """Evaluation mode, in which no loss changes its buffers."""
    was_training = criterion.training
    criterion.eval()
    try:
        yield
    finally:
        criterion.train(was_training)


def build(given: Given[EmbeddingNet]) -> SupervisedMethod:
    """The method of ``code/train.py --mixup``; see ``dml.methods.supervised.build``."""
    return supervised.build(given, MixupMethod)
