"""Momentum contrast (He et al., Momentum Contrast for Unsupervised Visual Representation Learning, CVPR 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.self_taught.queue import QUEUE_OPTIONS, EmbeddingQueue
from dml.losses.self_taught.spec import SelfTaughtSpec
from dml.losses.self_taught.views import paired_views
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import above


class MoCoLoss(nn.Module):
    """InfoNCE (eq. 1): tell the other view of an image, seen by the teacher, from the keys of past batches.

    With unit vectors q (student), k⁺ (teacher, next view) and the queue's keys k,
    ``−log( e^{q·k⁺/T} / (e^{q·k⁺/T} + Σ_k e^{q·k/T}) )``, mean over rows; then the batch's keys are enqueued.
    O(B·K·D) time.

    NOTE: the queue starts empty instead of with random vectors, and counts only what was written.
    NOTE: a queue longer than the training set holds older keys of the batch's own images, as negatives.

    Args:
        embedding_size: D.
        memory_size: K, keys in the queue.
        temperature: T.
    """

    def __init__(self, *, embedding_size: int, memory_size: int = 9600, temperature: float = 0.07):
        super().__init__()
        if temperature <= 0:
            raise UserError(f"--temperature must be positive, got {temperature}")
        self.queue = EmbeddingQueue(size=memory_size, embedding_size=embedding_size)
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, *, num_views: int) -> Tensor:
        """Scalar loss of (V·B, D) embeddings of both networks, view by view; only the student gets a gradient.

        Raises:
            UserError: fewer than two views, or more rows than the queue has.
        """
        queries, keys = paired_views(*map(l2_normalize_clamped, (student, teacher.detach())), num_views)
        positive = (queries * keys).sum(1, keepdim=True)
        logits = torch.cat([positive, self.queue.products(queries)], 1) / self.temperature
        self.queue.enqueue(keys)
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64, device=logits.device))


SPEC = SelfTaughtSpec(
    name="moco",
    build=MoCoLoss,
    options=QUEUE_OPTIONS | {"temperature": Option("temperature", "temperature T of InfoNCE", within=above(0))},
    head="mlp",
)
