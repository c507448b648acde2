"""Listwise self-distillation beside any loss: the teacher is the network as it was at the end of the last epoch."""

from __future__ import annotations

import copy

from torch import Tensor

from dml.losses import choose_loss
from dml.losses.ranking.listwise import ListwiseDistillationLoss
from dml.methods.base import Given
from dml.methods.terms.base import Seen, Term
from dml.models import EmbeddingNet
from dml.models.teacher import Teacher
from dml.normalize import l2_normalize_clamped


class SelfDistillation(Term):
    """The term that ``--loss X_lsd`` adds to loss X, and its teacher (METHODS §16).

    The teacher, weights and statistics, is part of the state: no file per epoch is written, and a continued run goes
    on with it. It sees the images of the student, without gradient, in the student's mode.
    NOTE: hence its batch normalisation works on the batch unless it is frozen, as in the published code, which never
    puts the teacher into evaluation mode.

    Args:
        model: the student; copied.
        alpha: α.
        temperature: τ.
        different_class_scale: see ``ListwiseDistillationLoss``.
        student_scale: bring the student's rows, not the teacher's, to this length first; None leaves them.
    """

    name = "distillation"

    def __init__(
        self,
        model: EmbeddingNet,
        *,
        alpha: float = 200.0,
        temperature: float = 1.0,
        different_class_scale: float = 1.0,
        student_scale: float | None = None,
    ):
        super().__init__()
        self.alpha, self.temperature, self.student_scale = alpha, temperature, student_scale
        self.divergence = ListwiseDistillationLoss(temperature=temperature, different_class_scale=different_class_scale)
        self.teacher = Teacher(copy.deepcopy(model), momentum=0.0, always_eval=False)

    def log_name(self) -> str:
        """As published."""
        return "kd_loss"

    def loss(self, seen: Seen) -> Tensor | None:
        """``epoch / num_epochs · α · τ² · divergence`` of the global batch; None in the first epoch, where it is 0."""
        weight = seen.progress.epoch / seen.progress.num_epochs * self.alpha * self.temperature**2
        if weight == 0:
            return None
        return weight * self.divergence(self.scaled(seen.embeddings), seen.embeddings_by(self.teacher), seen.labels)

    def scaled(self, embeddings: Tensor) -> Tensor:
        """The student's (B, D) rows as the divergence takes them."""
        if self.student_scale is None:
            return embeddings
        return self.student_scale * l2_normalize_clamped(embeddings)

    def end_epoch(self, model: EmbeddingNet) -> None:
        """The student of this epoch teaches the next one."""
        self.teacher.update(model)


def build(given: Given[EmbeddingNet]) -> SelfDistillation | None:
    """The term of a loss with ``_lsd`` at its end."""
    settings, loss = given.config.distillation, given.config.loss
    if settings is None:
        return None
    return SelfDistillation(
        given.model,
        alpha=settings.kd_alpha,
        temperature=settings.kd_tau,
        different_class_scale=settings.kd_beta,
        student_scale=choose_loss(loss.loss, memory=loss.memory).spec.distilled_length,
    )
