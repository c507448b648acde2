"""The typed things that travel between data, model, method and trainer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass
class Batch:
    """A batch of B images in V views each, rows ordered view by view.

    Row ``v * B + b`` is view ``v`` of image ``b``, so ``labels`` and ``indices`` repeat V times.

    Attributes:
        images: (V·B, 3, H, W) float32, normalised as the network asks.
        labels: (V·B,) int64 in 0..num_classes−1.
        indices: (V·B,) int64, positions of the images in their dataset.
        num_views: V ≥ 1.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    num_views: int = 1

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """The same batch on ``device``."""
        tensors = (t.to(device, non_blocking=non_blocking) for t in (self.images, self.labels, self.indices))
        return Batch(*tensors, num_views=self.num_views)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory (called by the data loader)."""
        tensors = (t.pin_memory() for t in (self.images, self.labels, self.indices))
        return Batch(*tensors, num_views=self.num_views)


@dataclass
class ModelOutput:
    """What a network makes of a batch of B images.

    Attributes:
        embedding: (B, D) the embedding that is evaluated; unit length if the network normalises.
        features: (B, F) the pooled backbone features below the head.
        background: (B, G) STML's second head g; None without one.
        uncertainty: (B, D) IDML's uncertainty head; None without one.
        maps: (B, C_s, H_s, W_s) of each stage that was asked for, in that order.
    """

    embedding: Tensor
    features: Tensor
    background: Tensor | None = None
    uncertainty: Tensor | None = None
    maps: tuple[Tensor, ...] = ()


@dataclass
class StepOutput:
    """The result of one training step.

    Attributes:
        loss: scalar to minimise, with its graph.
        logs: detached scalars to record as ``train/<name>``, left on the device.
    """

    loss: Tensor
    logs: dict[str, Tensor] = field(default_factory=dict)


class Progress(NamedTuple):
    """Where the training stands.

    Attributes:
        epoch: epochs completed, from 0.
        num_epochs: epochs in all.
        step: optimiser steps taken, from 0.
        steps_per_epoch: steps of the current epoch.
    """

    epoch: int
    num_epochs: int
    step: int = 0
    steps_per_epoch: int = 1
