"""The self-supervised baselines of self-taught metric learning: MoCo, BYOL, mean shift."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from dml.config import ConfigWarning
from dml.data.samplers import RandomSampler, Sampler
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.methods.base import Given, Method, ParamGroup, backbone_groups, head_lr_scale
from dml.methods.student import create_teacher
from dml.models import EmbeddingNet
from dml.models.teacher import Teacher
from dml.processes import gather_rows, keep_memories_apart
from dml.structures import Batch, Progress, StepOutput


class SelfSupervisedMethod(Method):
    """A student whose views of an image are compared with its teacher's. No label is read.

    The teacher follows after each optimiser step, so that a step's targets come from the newest student.
    Its backbone's batch normalisation works with each process's own batch, as in MoCo's paper, unless it is frozen;
    that of a head and of the predictor with the global batch, as in BYOL's.
    NOTE: MoCo shuffles batches over GPUs besides, lest a key be known by its batch's statistics; here no rows are
    exchanged before the networks, and ``--bn-freeze 1`` rules that out.

    Args:
        model: the student.
        teacher: of the same architecture.
        criterion: ``loss(student (V·B, D), teacher (V·B, D), *, num_views) -> scalar``.
        sampler: plans the batches.
        num_views: V, views of each image in a batch, at least 2.
        head_lr_scale: learning rate of the embedding layer in multiples of the base rate.
    """

    training_only = ("teacher.", "criterion.")

    model: EmbeddingNet

    def __init__(
        self,
        *,
        model: EmbeddingNet,
        teacher: Teacher,
        criterion: nn.Module,
        sampler: Sampler,
        num_views: int = 2,
        head_lr_scale: float = 1.0,
    ):
        super().__init__()
        self.model, self.teacher, self.criterion = model, teacher, criterion
        self.sampler, self.num_views = sampler, num_views
        keep_memories_apart(self)
        self._groups = [
            *backbone_groups(model),
            ParamGroup("head", list(model.new_parameters()), head_lr_scale, new=True),
            ParamGroup("predictor", list(criterion.parameters()), new=True),
        ]

    def param_groups(self) -> list[ParamGroup]:
        """The student's backbone and head, the criterion's predictor."""
        return self._groups

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """The sampler's plan."""
        return self.sampler.plan(epoch)

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The loss of the global batch, in float32 whatever the networks' precision."""
        networks = [self.outputs(network, batch.images) for network in (self.model, self.teacher)]
        embeddings = [gather_rows(output.embedding, batch.num_views) for output in networks]
        with torch.autocast(batch.images.device.type, enabled=False):
            return StepOutput(self.criterion(*embeddings, num_views=batch.num_views))

    def after_optimizer_step(self) -> None:
        """The teacher follows."""
        self.teacher.update(self.model)


def build(given: Given[EmbeddingNet]) -> SelfSupervisedMethod:
    """The method of ``code/train_stml.py --method moco`` and its like.

    Raises:
        UserError: settings that do not fit the training set.

    Warns:
        ConfigWarning: a queue so long that an image meets itself in it.
    """
    config, settings = given.config, given.config.self_taught
    spec, num_images = SELF_TAUGHT_LOSSES[config.loss.loss], len(given.train)
    arguments, teacher = spec.arguments(config.loss.options), create_teacher(config, given.model)
    _warn_of_long_queue(config.loss.loss, arguments, num_images * settings.view)
    if spec.has_predictor:
        arguments["predictor_width"] = 2 * given.model.num_features
    unlabelled = np.zeros(num_images, dtype=np.int64)
    return SelfSupervisedMethod(
        model=given.model,
        teacher=teacher,
        criterion=spec.build(embedding_size=config.model.embedding_size, **arguments),
        sampler=RandomSampler(unlabelled, batch_size=config.data.batch_size, seed=config.run.seed),
        num_views=settings.view,
        head_lr_scale=head_lr_scale(config.optim),
    )


def _warn_of_long_queue(name: str, arguments: Mapping[str, object], rows_per_epoch: int) -> None:
    """Where MoCo would push an image away from its own earlier keys."""
    if name != "moco":
        return
    if (size := arguments["memory_size"]) >= rows_per_epoch:
        warnings.warn(
            f"--memory-size {size} holds a whole epoch of {rows_per_epoch} views: among MoCo's negatives are then"
            " earlier keys of the very images of the batch; a smaller queue avoids that",
            ConfigWarning,
        )
