"""Cross-batch memory: the embeddings of recent batches, kept on the device and overwritten in place (METHODS §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.options import Option
from dml.ranges import at_least

PUBLISHED_SIZE = 55_000
MEMORY_OPTIONS = {
    "memory-size": Option("memory_size", "rows of the cross-batch memory", ("T",), within=at_least(1)),
    "start-epoch": Option(
        "memory_from_epoch", "first epoch with memory, from 0; Proxy-ISA filters one later", within=at_least(0)
    ),
}
"""Of every loss with a memory."""


class CrossBatchMemory(nn.Module):
    """A bank of K embeddings with their labels.

    Rows are filled in order. A batch of q rows that would run past the end overwrites the *last* q rows instead,
    and writing goes on at row 0. Nothing waits for a GPU: how many rows a batch brings, and where they go,
    stays on the device.

    NOTE: hence after a wrap the newest batch is not the last but the first to be overwritten once the end is
    reached again, and rows between pointer and end live longer than in a ring. Kept as published.
    NOTE: the published code takes the memory for empty again when its last row happens to hold class 0; here
    fullness is counted by the rows written.

    Under several processes each is given the global batch, hence holds the same rows.

    Args:
        size: K, rows.
        embedding_size: D.

    Attributes:
        features: (K, D) float32, zero where nothing was written.
        labels: (K,) int64.
        pointer: () int64, the next row, 0..K.
        written: () int64, rows that hold an embedding: always the first ones.
    """

    features: Tensor
    labels: Tensor
    pointer: Tensor
    written: Tensor

    memory_buffers: tuple[str, ...] = ("features", "labels", "pointer", "written")

    def __init__(self, *, size: int, embedding_size: int):
        super().__init__()
        if size < 1:
            raise UserError(f"--memory-size must be at least 1, got {size}")
        self.size = size
        self.register_buffer("features", torch.zeros(size, embedding_size))
        self.register_buffer("labels", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))
        self.register_buffer("written", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def enqueue(self, features: Tensor, labels: Tensor, keep: Tensor | None = None) -> None:
        """Write the rows of a batch that ``keep`` marks, in order; O(B·D) time and memory, whatever K.

        Args:
            features: (B, D), B ≤ K.
            labels: (B,) int64.
            keep: (B,) bool; None keeps all.

        Raises:
            UserError: more rows than the memory has.
        """
        batch = len(labels)
        if batch > self.size:
            raise UserError(
                f"a memory of {self.size} rows cannot hold a batch of {batch}: raise --memory-size (--T)"
                " or lower --batch-size"
            )
        if keep is None:
            keep = torch.ones_like(labels, dtype=torch.bool)
        order = torch.argsort(keep.long(), descending=True, stable=True)  # rows to keep first, in their order
        count = keep.sum()
        wraps = self.pointer + count > self.size
        start = torch.where(wraps, self.size - count, self.pointer)
        # As many distinct places as the batch has rows; those beyond `count` get back what they hold.
        offsets = torch.arange(batch, device=labels.device)
        places, is_new = (start + offsets) % self.size, offsets < count
        new = (features.detach()[order].to(self.features.dtype), labels[order])
        old = (self.features[places], self.labels[places])
        self._replaced(old, new, is_new=is_new, was_written=places < self.written)
        self.features.index_copy_(0, places, torch.where(is_new[:, None], new[0], old[0]))
        self.labels.index_copy_(0, places, torch.where(is_new, new[1], old[1]))
        self.written.copy_(torch.maximum(self.written, start + count))
        self.pointer.copy_(torch.where(wraps, 0, start + count))

    def _replaced(
        self, old: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], *, is_new: Tensor, was_written: Tensor
    ) -> None:
        """Called before ``new`` (features (B, D), labels (B,)) takes the place of ``old`` where ``is_new`` (B,)."""

    def filled(self) -> Tensor:
        """(K,) bool: which rows hold an embedding."""
        return torch.arange(self.size, device=self.written.device) < self.written


class ClassMeanMemory(CrossBatchMemory):
    """A memory that knows the mean embedding of each class in it without reading its K rows.

    Sums by class are carried along: float64, in which adding and taking away float32 embeddings loses nothing
    that matters. O(B·D) a step and O(C·D) memory, where summing the rows would take O(K·D) a step.

    Args:
        size: K, rows.
        embedding_size: D.
        num_classes: C.

    Attributes:
        class_sums: (C, D) float64, where the device has it.
        class_counts: (C,) int64, rows of each class.
    """

    class_sums: Tensor
    class_counts: Tensor

    memory_buffers = (*CrossBatchMemory.memory_buffers, "class_sums", "class_counts")

    def __init__(self, *, size: int, embedding_size: int, num_classes: int):
        super().__init__(size=size, embedding_size=embedding_size)
        self.register_buffer("class_sums", torch.zeros(num_classes, embedding_size, dtype=torch.float64))
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.int64))

    def _replaced(
        self, old: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], *, is_new: Tensor, was_written: Tensor
    ) -> None:
        for (features, labels), changed, sign in ((old, is_new & was_written, -1), (new, is_new, 1)):
            self.class_counts.index_add_(0, labels, changed.long(), alpha=sign)
            self.class_sums.index_add_(0, labels, features.to(self.class_sums.dtype) * changed[:, None], alpha=sign)

    def class_means(self, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Means (n, D) of the sums' type and row counts (n,) of ``classes`` (n,); the mean of no rows is 0."""
        counts = self.class_counts[classes]
        return self.class_sums[classes] / counts.clamp_min(1)[:, None], counts
