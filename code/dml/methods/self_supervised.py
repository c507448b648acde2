"""The self-supervised baselines of self-taught metric learning: MoCo, BYOL, mean shift."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dml.data.samplers import Sampler
from dml.methods.base import Method, ParamGroup, backbone_groups
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
        networks = (self.model(batch.images), self.teacher(batch.images))
        embeddings = [gather_rows(output.embedding, batch.num_views) for output in networks]
        with torch.autocast(batch.images.device.type, enabled=False):
            return StepOutput(self.criterion(*embeddings, num_views=batch.num_views))

    def after_optimizer_step(self) -> None:
        """The teacher follows."""
        self.teacher.update(self.model)
