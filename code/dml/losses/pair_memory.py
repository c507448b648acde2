"""Pair losses over the rows of a cross-batch memory, as the Proxy-ISA repository has them (METHODS §4)."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from dml.losses.functional import check_batch, log1p_sum_exp
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


class MultiSimilarityMemoryLoss(PairLossWithMemory):
    """Multi-similarity (Wang et al., CVPR 2019): soft sums over mined positives and negatives (METHODS §4).

    A sample without a mined positive or negative is left out, and still counts in the mean over the batch.

    Args:
        scale_pos: of positives.
        scale_neg: of negatives.
        threshold: λ, similarity at which a pair weighs 1.
        mining_margin: ε: negatives below the hardest positive by more than this, and positives above the hardest
            negative by more, are left out.
        hard_mining: whether pairs are mined at all.
        num_classes, embedding_size, memory_size, memory_from_epoch, similarity: see ``PairLossWithMemory``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        scale_pos: float = 2.0,
        scale_neg: float = 50.0,
        threshold: float = 0.5,
        mining_margin: float = 0.1,
        hard_mining: bool = True,
        memory_size: int = PUBLISHED_SIZE,
        memory_from_epoch: int = 2,
        similarity: Similarity | None = None,
    ):
        super().__init__(
            num_classes=num_classes,
            embedding_size=embedding_size,
            memory_size=memory_size,
            memory_from_epoch=memory_from_epoch,
            similarity=similarity,
        )
        self.scale_pos, self.scale_neg, self.threshold = scale_pos, scale_neg, threshold
        self.mining_margin, self.hard_mining = mining_margin, hard_mining

    def pair_loss(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(B,) losses. NOTE: the published code crashes where a sample has positives and no negative; here it
        is left out."""
        if self.hard_mining:
            positives, negatives = self._mine(similarity.detach(), positives, negatives)
        centred = similarity - self.threshold
        pull = log1p_sum_exp((-self.scale_pos * centred).masked_fill(~positives, -torch.inf), dim=1)
        push = log1p_sum_exp((self.scale_neg * centred).masked_fill(~negatives, -torch.inf), dim=1)
        counts = positives.any(1) & negatives.any(1)
        return torch.where(counts, pull / self.scale_pos + push / self.scale_neg, 0.0)

    def _mine(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
        """Positives and negatives that violate the order of the hardest of the other kind by the margin."""
        hardest_positive = similarity.masked_fill(~positives, torch.inf).amin(1, keepdim=True)
        hardest_negative = similarity.masked_fill(~negatives, -torch.inf).amax(1, keepdim=True)
        return (
            positives & (similarity - self.mining_margin < hardest_negative),
            negatives & (similarity + self.mining_margin > hardest_positive),
        )


class ContrastiveMemoryLoss(PairLossWithMemory):
    """Contrastive over similarities: Σ (1 − s) of positives and Σ s of negatives above a margin (METHODS §4).

    A sample without a positive is left out, its negatives too, and still counts in the mean over the batch.

    Args:
        margin: similarity above which a negative costs.
        num_classes, embedding_size, memory_size, memory_from_epoch, similarity: see ``PairLossWithMemory``.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        margin: float = 0.5,
        memory_size: int = PUBLISHED_SIZE,
        memory_from_epoch: int = 2,
        similarity: Similarity | None = None,
    ):
        super().__init__(
            num_classes=num_classes,
            embedding_size=embedding_size,
            memory_size=memory_size,
            memory_from_epoch=memory_from_epoch,
            similarity=similarity,
        )
        self.margin = margin

    def pair_loss(self, similarity: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """(B,) losses."""
        pull = ((1 - similarity) * positives).sum(1)
        push = (similarity * (negatives & (similarity > self.margin))).sum(1)
        return torch.where(positives.any(1), pull + push, 0.0)
