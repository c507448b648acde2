"""What every training method offers the trainer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dml.config import OptimConfig, TrainConfig
from dml.data import ImageRecords
from dml.methods.pieces import in_pieces
from dml.models import EmbeddingNet
from dml.models.classifiers import ClassifierNet
from dml.models.teacher import Teacher
from dml.structures import Batch, Progress, StepOutput

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Given(Generic[Network]):
    """What the method of a run, and each of its terms, is built from: the ``build`` at the end of its file takes this.

    Attributes:
        config: the run's settings.
        model: the network to train.
        train: the training images.
        embed_training_set: (N, D) of the training set by a network, on all processes together; needed by samplers that
            look at features, by STML, which takes background embeddings, and for ``--cache-source``.
        source: of embedding transfer, the network to learn from.
    """

    config: TrainConfig
    model: Network
    train: ImageRecords
    embed_training_set: Callable[[EmbeddingNet], Tensor] | None = None
    source: EmbeddingNet | None = None


@dataclass(frozen=True)
class ParamGroup:
    """Parameters that are trained alike.

    Attributes:
        name: for logs.
        parameters: may be empty.
        lr_scale: learning rate in multiples of the base rate.
        new: initialised at random here, so trained during the warm-up too.
        clip: whether gradient clipping applies.
        decay: whether weight decay applies.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    lr_scale: float = 1.0
    new: bool = False
    clip: bool = True
    decay: bool = True


def backbone_groups(model: EmbeddingNet) -> list[ParamGroup]:
    """The backbone as one group, or as one for each depth that has a rate of its own."""
    return [ParamGroup(name, parameters, scale) for name, scale, parameters in model.rates_by_depth()]


class Method(nn.Module, ABC):
    """One way of training ``self.model``: owns student, criterion and teacher, and says what a step is.

    Everything that learns or counts is a parameter or buffer, so the state dict is the whole state.

    Attributes:
        model: the network that is trained and evaluated.
        num_views: how many random crops of each image a batch holds.
        training_only: prefixes of state names that only a continued training needs; best.pt leaves them out.
        rows_of_images: state names of tensors with a row for each training image, where there are such.
        average: the moving average of ``model``, which is evaluated and kept in its place; None without.
        pieces: into how many pieces a batch is cut for the networks, see ``in_pieces``.
    """

    model: EmbeddingNet | ClassifierNet
    num_views: int = 1
    training_only: tuple[str, ...] = ()
    rows_of_images: tuple[str, ...] = ()
    pieces: int = 1

    def __init__(self) -> None:
        super().__init__()
        self.average: Teacher | None = None

    @abstractmethod
    def param_groups(self) -> list[ParamGroup]:
        """All trainable parameters, each in exactly one group."""

    @abstractmethod
    def epoch_batches(self, epoch: int) -> np.ndarray:
        """(num_batches, B) int64 dataset indices: the batches of epoch ``epoch``, counted from 0.

        Called once an epoch, on all processes together; a run continued within an epoch keeps its plan.
        """

    def images_per_batch(self) -> int:
        """B of ``epoch_batches``, before the run starts; to be overridden where planning is dear."""
        return self.epoch_batches(0).shape[1]

    @abstractmethod
    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The loss of one (local) batch; under several processes, of the global one."""

    def outputs(self, network: nn.Module, images: Tensor) -> Any:
        """What ``network``, the trained one or a teacher, makes of (V·B, 3, H, W) images in a step."""
        return in_pieces(network, images, self.pieces)

    @property
    def judged(self) -> nn.Module:
        """The network that is evaluated."""
        return self.model if self.average is None else self.average.network

    def networks(self) -> list[nn.Module]:
        """Every network that sees the images of a step, each once: the trained one, and its teachers."""
        teachers = (part for part in self.modules() if isinstance(part, Teacher) and part is not self.average)
        return [self.model, *(teacher.network for teacher in teachers)]

    def keep_average(self, momentum: float) -> None:
        """Let a moving average of the network be evaluated in its place."""
        self.average = Teacher(deepcopy(self.model), momentum=momentum)

    def forward(self, batch: Batch, progress: Progress) -> StepOutput:
        """``training_step``, through the hooks of data-parallel wrappers."""
        return self.training_step(batch, progress)

    def start_epoch(self, progress: Progress) -> None:
        """Called before the batches of an epoch, also when a run is continued in the middle of one."""

    def after_backward(self) -> None:
        """Called after each backward pass, before the optimiser step: weights are still those of the forward pass.

        Gradients are scaled in mixed precision: this is no place to read or change them.
        """

    def after_optimizer_step(self) -> None:
        """Called after each optimiser step."""

    def end_epoch(self, progress: Progress) -> None:
        """Called once after the last batch of an epoch and its evaluation, before the checkpoint is written."""

    def proxies(self) -> Tensor | None:
        """(C, D) class proxies for pictures, or None."""
        return None

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """The state ``saved`` by a method over other training images, for those of this one.

        Rows of images that are kept go with them; those of new images are as this method began with them.

        Args:
            saved: name → tensor, without the network's.
            moved: (N,) int64 for each image then its number now; −1: it is gone.
        """
        own, then = self.state_dict(), torch.from_numpy(np.flatnonzero(moved >= 0))
        now, changed = torch.from_numpy(moved)[then], {}
        for name in self.rows_of_images:
            if name in saved:
                changed[name] = own[name].detach().cpu().clone()
                changed[name][now] = saved[name][then].to(changed[name])
        return saved | changed


def head_lr_scale(optim: OptimConfig) -> float:
    """``--head-lr`` in multiples of the base rate."""
    return optim.head_lr / optim.lr


def train_only_new(groups: Sequence[ParamGroup], *, warm_up: bool) -> None:
    """Let only new parameters train during the warm-up, everything after it.

    NOTE: the end of a warm-up makes every parameter trainable, the affine parameters of frozen batch
    normalisation included. The reported figures were made so (METHODS §24); without a warm-up those stay fixed.
    """
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad_(group.new or not warm_up)
