"""A first-in-first-out queue of embeddings, kept on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.options import Option
from dml.ranges import at_least

QUEUE_OPTIONS = {"memory-size": Option("memory_size", "embeddings of past batches in the queue", within=at_least(1))}
"""Of every loss with a queue."""


class EmbeddingQueue(nn.Module):
    """The newest K embeddings of past batches, in a ring. O(B·D) time a step, O(K·D) memory.

    Under several processes each is given the global batch, hence holds the same rows.

    Args:
        size: K, rows.
        embedding_size: D.

    Attributes:
        rows: (K, D) float32, zero where nothing was written.
        written: () int64, rows written in all; the next one goes to ``written % K``.
    """

    rows: Tensor
    written: Tensor

    memory_buffers: tuple[str, ...] = ("rows", "written")

    def __init__(self, *, size: int, embedding_size: int):
        super().__init__()
        if size < 1:
            raise UserError(f"--memory-size must be at least 1, got {size}")
        self.size = size
        self.register_buffer("rows", torch.zeros(size, embedding_size))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, embeddings: Tensor) -> None:
        """Let (B, D) embeddings, B ≤ K, take the place of the oldest rows.

        Raises:
            UserError: more rows than the queue has.
        """
        if len(embeddings) > self.size:
            raise UserError(
                f"a memory of {self.size} rows cannot hold a batch of {len(embeddings)} (images × views):"
                " raise --memory-size or lower --batch-size"
            )
        places = (self.written + torch.arange(len(embeddings), device=self.rows.device)) % self.size
        self.rows.index_copy_(0, places, embeddings.to(self.rows.dtype))
        self.written += len(embeddings)

    def products(self, queries: Tensor) -> Tensor:
        """(B, D) → (B, K) inner products with every row, −∞ where nothing was written yet. O(K·D) memory for a copy."""
        empty = torch.arange(self.size, device=self.rows.device) >= self.written
        rows = self.rows.clone()  # the backward pass needs them after the next enqueuing
        return (queries @ rows.T).masked_fill(empty, -torch.inf)
