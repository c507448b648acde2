"""A teacher that is the moving average of the network, beside any loss: what it sees as alike is to look alike."""

from __future__ import annotations

import copy

from torch import Tensor

from dml.losses.ranking.listwise import ListwiseDistillationLoss
from dml.methods.base import Given
from dml.methods.terms.base import Seen, Term
from dml.models import EmbeddingNet
from dml.models.teacher import Teacher
from dml.normalize import l2_normalize_clamped


class EMATeacher(Term):
    """``weight · τ² · mean over anchors of KL(teacher's list ‖ student's list)`` (METHODS §25).

    A list is the softmax of an image's cosines to the whole batch over τ. The teacher begins as the student and follows
    after each optimiser step, ``t ← m·t + (1 − m)·s`` with its running statistics, so that a step's lists come from the
    newest student. It sees the images of the student, without gradient and in the student's mode, as in
    ``SelfDistillation``: unless batch normalisation is frozen, it works on the batch.

    The weight is the same in every epoch: teacher and student are one at the beginning, where the term is 0.

    Args:
        model: the student; copied.
        momentum: m, in 0..1.
        weight: what the divergence is multiplied by; τ² beside it keeps the size of gradients (Hinton et al., 2015).
        temperature: τ.
    """

    name = "ema_teacher"

    def __init__(self, model: EmbeddingNet, *, momentum: float, weight: float, temperature: float):
        super().__init__()
        self.weight, self.temperature = weight, temperature
        self.divergence = ListwiseDistillationLoss(temperature=temperature)
        self.teacher = Teacher(copy.deepcopy(model), momentum=momentum, always_eval=False)

    def loss(self, seen: Seen) -> Tensor:
        """The term of the global batch."""
        student, teacher = map(l2_normalize_clamped, (seen.embeddings, seen.embeddings_by(self.teacher)))
        return self.weight * self.temperature**2 * self.divergence(student, teacher, seen.labels)

    def after_optimizer_step(self, model: EmbeddingNet) -> None:
        """The teacher follows."""
        self.teacher.update(model)


def build(given: Given[EmbeddingNet]) -> EMATeacher | None:
    """The term of ``--ema-teacher``."""
    settings = given.config.ema_teacher
    if settings is None:
        return None
    return EMATeacher(
        given.model, momentum=settings.ema_momentum, weight=settings.ema_weight, temperature=settings.ema_tau
    )
