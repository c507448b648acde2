"""Mean shift for self-supervised learning (Koohpayegani et al., ICCV 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.losses.self_taught.queue import QUEUE_OPTIONS, EmbeddingQueue
from dml.losses.self_taught.spec import SelfTaughtSpec
from dml.losses.self_taught.views import paired_views, predictor
from dml.normalize import l2_normalize_clamped
from dml.options import Option
from dml.ranges import at_least


class MeanShiftLoss(nn.Module):
    """The student's view is drawn to the nearest neighbours of the teacher's next view (section 3).

    The teacher's embeddings z are enqueued first, so that each is its own nearest neighbour; with the k nearest
    rows of the queue and q the predictor's output, all at unit length, ``2 − 2 q·z_j`` is averaged over
    neighbours and rows. With k = 1 that is BYOL. O(B·K·D) time.

    Args:
        embedding_size: D.
        predictor_width: of the predictor's hidden layer; published: twice the number of the backbone's features.
        memory_size: K, rows of the queue.
        topk: k, neighbours of a target, itself included.

    Raises:
        UserError: k below 1 or above K.
    """

    def __init__(self, *, embedding_size: int, predictor_width: int, memory_size: int = 9600, topk: int = 5):
        super().__init__()
        if not 1 <= topk <= memory_size:
            raise UserError(f"--topk must lie in 1..{memory_size}, the --memory-size, got {topk}")
        self.queue = EmbeddingQueue(size=memory_size, embedding_size=embedding_size)
        self.predictor = predictor(embedding_size, predictor_width)
        self.topk = topk

    def forward(self, student: Tensor, teacher: Tensor, *, num_views: int) -> Tensor:
        """Scalar loss in 0..4 of (V·B, D) embeddings of both networks, view by view; the teacher gets no gradient.

        Raises:
            UserError: fewer than two views, fewer rows than k, or more than the queue has.
        """
        if len(student) < self.topk:
            raise UserError(f"--topk {self.topk} exceeds the {len(student)} rows of a batch")
        predictions, targets = paired_views(self.predictor(student), l2_normalize_clamped(teacher.detach()), num_views)
        self.queue.enqueue(targets)
        with torch.no_grad():
            nearest = self.queue.products(targets).topk(self.topk, 1).indices
            means = self.queue.rows[nearest].mean(1)
        return 2 - 2 * (l2_normalize_clamped(predictions) * means).sum(1).mean()


SPEC = SelfTaughtSpec(
    name="meanshift",
    build=MeanShiftLoss,
    options=QUEUE_OPTIONS
    | {"topk": Option("topk", "nearest neighbours of a target, itself included", within=at_least(1))},
    head="mlp_bn",
)
