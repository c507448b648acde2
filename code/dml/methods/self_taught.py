"""Self-taught metric learning: a student learns from its own moving average which images are alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dml.data.neighbours_plan import neighbour_plan
from dml.devices import exact_device
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.losses.self_taught.stml import SelfTaughtLoss
from dml.methods.base import Given, Method, ParamGroup, backbone_groups, head_lr_scale
from dml.methods.student import create_teacher
from dml.models import EmbeddingNet
from dml.models.teacher import Teacher
from dml.neighbours import nearest_neighbours
from dml.processes import gather_rows
from dml.structures import Batch, Progress, StepOutput


class SelfTaughtMethod(Method):
    """A student with an embedding and a background head, and a teacher that follows it (METHODS §12 to §14).

    Batches hold images with their nearest neighbours by the student's background embedding, searched anew for
    every epoch. No label is read. The search costs O(N²·G) time on every process, on its device.

    Args:
        model: the student; has a background head.
        teacher: of the same architecture.
        criterion: compares both.
        embed_training_set: (N, G) background embeddings of the training set by a network, on any device; called on
            all processes together.
        num_images: N.
        batch_size: upper bound of images per batch.
        num_neighbors: K, neighbours per query in a batch, itself included.
        seed: of the choice of queries.
        num_views: views of each image in a batch.
        head_lr_scale: learning rate of both heads in multiples of the base rate.

    Raises:
        UserError: a model without background head; fewer images than one batch; a batch smaller than K.
    """

    training_only = ("teacher.",)

    model: EmbeddingNet

    def __init__(
        self,
        *,
        model: EmbeddingNet,
        teacher: Teacher,
        criterion: SelfTaughtLoss,
        embed_training_set: Callable[[EmbeddingNet], Tensor],
        num_images: int,
        batch_size: int,
        num_neighbors: int,
        seed: int,
        num_views: int = 2,
        head_lr_scale: float = 1.0,
    ):
        super().__init__()
        if model.background is None:
            raise ValueError("self-taught metric learning needs a network with a background head")
        self.model, self.teacher, self.criterion = model, teacher, criterion
        self.embed_training_set, self.num_images, self.num_neighbors = embed_training_set, num_images, num_neighbors
        self.batch_size, self.seed, self.num_views = batch_size, seed, num_views
        self._images_per_batch = self._plan(np.zeros((num_images, num_neighbors), dtype=np.int64), 0).shape[1]
        self._groups = [
            *backbone_groups(model),
            ParamGroup("heads", list(model.new_parameters()), head_lr_scale, new=True),
        ]

    def param_groups(self) -> list[ParamGroup]:
        """The student's backbone and heads."""
        return self._groups

    def images_per_batch(self) -> int:
        """Whole neighbourhoods: the largest multiple of K up to the batch size."""
        return self._images_per_batch

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """Queries drawn at random, each followed by its neighbours as the student sees them now."""
        return self._plan(neighbourhoods(self._embeddings(), self.num_neighbors), epoch)

    def _embeddings(self) -> Tensor:
        device = next(self.model.parameters()).device
        return self.embed_training_set(self.model).to(exact_device(device))

    def _plan(self, neighbours: np.ndarray, epoch: int) -> np.ndarray:
        return neighbour_plan(neighbours, batch_size=self.batch_size, seed=self.seed, epoch=epoch)

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The loss of the global batch, in float32 whatever the networks' precision."""
        student, teacher = (self.outputs(network, batch.images) for network in (self.model, self.teacher))
        rows = (student.embedding, student.background, teacher.background, batch.indices)
        gathered = [gather_rows(tensor, batch.num_views) for tensor in rows]
        with torch.autocast(batch.images.device.type, enabled=False):
            terms = self.criterion(*gathered)
        logs = {f"{name}_loss": value.detach() for name, value in terms._asdict().items()}
        return StepOutput(terms.total, logs)

    def after_backward(self) -> None:
        """The teacher takes its step before the student does, as published."""
        self.teacher.update(self.model)


def neighbourhoods(embeddings: Tensor, num_neighbors: int) -> np.ndarray:
    """(N, D) → (N, K) int64: each row itself, then its K − 1 nearest by Euclidean distance, nearest first.

    NOTE: the published code takes the K smallest distances, the row's own among them; of several copies any may
    come first there.
    """
    own = torch.arange(len(embeddings), device=embeddings.device)
    if num_neighbors == 1:
        return own[:, None].cpu().numpy()
    nearest, _ = nearest_neighbours(embeddings, embeddings, num_neighbors - 1, distance="euclidean", exclude=own)
    return torch.cat([own[:, None], nearest], 1).cpu().numpy()


def build(given: Given[EmbeddingNet]) -> SelfTaughtMethod:
    """The method of ``code/train_stml.py``. UserError for settings that do not fit the training set."""
    config, settings = given.config, given.config.self_taught
    spec = SELF_TAUGHT_LOSSES[config.loss.loss]
    return SelfTaughtMethod(
        model=given.model,
        teacher=create_teacher(config, given.model),
        criterion=spec.build(
            num_neighbours=settings.num_neighbors * settings.view, **spec.arguments(config.loss.options)
        ),
        embed_training_set=given.embed_training_set,
        num_images=len(given.train),
        batch_size=config.data.batch_size,
        num_neighbors=settings.num_neighbors,
        seed=config.run.seed,
        num_views=settings.view,
        head_lr_scale=head_lr_scale(config.optim),
    )
