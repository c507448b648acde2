"""The pair losses of the Proxy-Anchor family: pytorch-metric-learning's own, composed as published (METHODS §2c).

None has parameters; all cost O(B²·D) time and O(B²) memory, the triplet one O(B³) memory in the worst case.
A batch without a usable tuple gives 0 with a zero gradient.
"""

from __future__ import annotations

import torch
from pytorch_metric_learning import distances, losses, miners
from torch import Tensor, nn

from dml.losses.functional import check_batch


class LibraryLoss(nn.Module):
    """A loss of pytorch-metric-learning over the tuples that an optional miner of it picks.

    Args:
        num_classes: C, to check labels.
        embedding_size: D, to check embeddings.
        loss: called as ``loss(embeddings, labels, tuples)``.
        miner: called as ``miner(embeddings, labels)``; None leaves the choice to the loss.
    """

    def __init__(self, *, num_classes: int, embedding_size: int, loss: nn.Module, miner: nn.Module | None = None):
        super().__init__()
        self.num_classes, self.embedding_size = num_classes, embedding_size
        self.loss, self.miner = loss, miner

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings and (B,) int64 labels in 0..C−1; ValueError if they do not fit.

        Half-precision embeddings are widened to float32, in which the library's distances are defined.
        """
        check_batch(embeddings, labels, self.num_classes, self.embedding_size)
        if embeddings.dtype in (torch.float16, torch.bfloat16):
            embeddings = embeddings.float()
        tuples = self.miner(embeddings, labels) if self.miner is not None else None
        return self.loss(embeddings, labels, tuples)


def multi_similarity_mined(*, num_classes: int, embedding_size: int) -> LibraryLoss:
    """MS: multi-similarity (Wang et al., CVPR 2019) with α 2, β 50, λ 0.5 on pairs mined with ε 0.1."""
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5),
        miner=miners.MultiSimilarityMiner(epsilon=0.1),
    )


def contrastive_all_pairs(*, num_classes: int, embedding_size: int) -> LibraryLoss:
    """Contrastive: pairs of a class pulled to distance 0, others pushed beyond 0.5; unit vectors, all pairs."""
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.ContrastiveLoss(neg_margin=0.5),
    )


def triplet_semihard(*, num_classes: int, embedding_size: int) -> LibraryLoss:
    """Triplet: semi-hard triplets (Schroff et al., CVPR 2015) with margin 0.1 on unit vectors."""
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.TripletMarginLoss(margin=0.1),
        miner=miners.TripletMarginMiner(margin=0.1, type_of_triplets="semihard"),
    )


def npairs_unnormalized(*, num_classes: int, embedding_size: int) -> LibraryLoss:
    """NPair: N-pairs (Sohn, NeurIPS 2016) over dot products of embeddings as they come, no l2 penalty."""
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)),
    )
