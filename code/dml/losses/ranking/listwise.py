"""Listwise self-distillation (LSD): a network learns to order each batch as its own earlier state does."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.normalize import widen


class ListwiseDistillationLoss(nn.Module):
    """Divergence of the student's from the teacher's softmax over the batch, for every anchor (METHODS §16).

    With S = E Eᵀ of each network, ``mean over anchors of KL(softmax(S'_i / τ) ‖ softmax(S_i / τ))``, an anchor's
    similarity with itself included. Embeddings are not normalised here: the published networks give unit vectors.
    O(B²·D) time, O(B²) memory.

    Args:
        temperature: τ.
        different_class_scale: factor of the similarities of samples of different classes, in both networks;
            1 is the published default, other values its branch ``f_distillation_standard=False``.

    Raises:
        UserError: a temperature that is not positive.
    """

    def __init__(self, *, temperature: float = 1.0, different_class_scale: float = 1.0):
        super().__init__()
        if temperature <= 0:
            raise UserError(f"--kd_tau must be positive, got {temperature}")
        self.temperature, self.different_class_scale = temperature, different_class_scale

    def forward(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Scalar divergence, at least 0; gradient for the student alone.

        Args:
            student: (B, D) embeddings.
            teacher: (B, D') embeddings of the same samples.
            labels: (B,) int64, read only with a ``different_class_scale`` other than 1.

        Raises:
            ValueError: numbers of rows that differ.
        """
        if student.ndim != 2 or teacher.ndim != 2 or not len(student) == len(teacher) == len(labels):
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in (student, teacher, labels))
            raise ValueError(f"student and teacher must be (B, D) and (B, D') of (B,) labels, got {shapes}")
        scale = self._scale(labels, student)
        ours = F.log_softmax(self._similarities(student, scale), dim=1)
        theirs = F.log_softmax(self._similarities(teacher.detach(), scale), dim=1)
        return F.kl_div(ours, theirs.to(ours.dtype), reduction="batchmean", log_target=True)

    def _similarities(self, embeddings: Tensor, scale: Tensor | float) -> Tensor:
        wide = widen(embeddings)
        return wide @ wide.T * scale

    def _scale(self, labels: Tensor, student: Tensor) -> Tensor | float:
        """What similarities are multiplied by: 1 / τ, and with the branch a factor for other classes."""
        if self.different_class_scale == 1:
            return 1 / self.temperature
        same = labels[:, None] == labels
        scale = torch.where(same, 1.0, self.different_class_scale) / self.temperature
        return scale.to(widen(student).dtype)
