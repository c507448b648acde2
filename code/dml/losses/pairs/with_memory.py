"""Pair losses over the rows of a cross-batch memory, as the Proxy-ISA repository has them (METHODS §4)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from dml.losses.functional import check_batch
from dml.losses.memory import PUBLISHED_SIZE, CrossBatchMemory
from dml.losses.similarity import CosineSimilarity, Similarity

_COPY = 1e-5  # a positive nearer to similarity 1 than this is the sample itself, or has nothing to teach


class PairLossWithMemory(nn.Module, ABC):
    """Compares each sample of the batch with rows: the batch itself, later those of a memory.

    Before epoch ``memory_from_epoch`` the rows are the batch, and gradient flows through both sides. From then on
    the batch is put into the memory first, and the rows are all that the memory holds, without gradient.
    ``start_epoch`` sets the phase before the steps of each epoch, a mode like ``training``; in evaluation mode
    nothing is put into the memory. O(B·K·D) time, O(B·K) memory.

    Args:
        num_classes: C, to check labels.
        embedding_size: D.
        memory_size: K, rows of the memory.
        memory_from_epoch: first epoch with memory, counted from 0.
        similarity: of samples and rows, and what a row of the memory is; None: the cosine.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        memory_size: int = PUBLISHED_SIZE,
        memory_from_epoch: int = 2,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.num_classes, self.similarity = num_classes, similarity or CosineSimilarity()
        self.width = self.similarity.width(embedding_size)
        self.memory_from_epoch, self.memory_enabled = memory_from_epoch, False
        self.memory = CrossBatchMemory(size=memory_size, embedding_size=self.width)

    def start_epoch(self, epoch: int) -> None:
        """Use the memory from its first epoch on."""
        self.memory_enabled = epoch >= self.memory_from_epoch

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings of any norm, or the rows of its similarity, and (B,) int64 labels in 0..C−1.

        Raises:
            ValueError: shapes or labels that do not fit, or a batch larger than the memory.
        """
        check_batch(embeddings, labels, self.num_classes, self.width)
        if not self.memory_enabled:
            return self.compare(embeddings, labels, embeddings, labels, torch.ones_like(labels, dtype=torch.bool))
        if self.training:
            self.memory.enqueue(embeddings, labels)
        return self.compare(embeddings, labels, self.memory.features, self.memory.labels, self.memory.filled())

    def compare(self, embeddings: Tensor, labels: Tensor, rows: Tensor, row_labels: Tensor, is_row: Tensor) -> Tensor:
        """The loss of (B, D) samples against those of the rows (M, D) that ``is_row`` (M,) marks."""
        similarity = self.similarity.similarities(embeddings, rows)  # (B, M)
        is_same = labels[:, None] == row_labels
        positives = is_same & is_row & (similarity.detach() < 1 - _COPY)
        return self.pair_loss(similarity, positives, ~is_same & is_row).sum() / len(labels)

    @abstractmethod
    def pair_loss(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(B,) losses of the samples, 0 where one is left out, from (B, M) similarities and masks of pairs."""
