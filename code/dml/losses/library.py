"""The pair losses of the Proxy-Anchor family: pytorch-metric-learning's own, composed as published (METHODS §2c).

None has parameters; all cost O(B²·D) time and O(B²) memory, the triplet one O(B³) memory in the worst case.
A batch without a usable tuple gives 0 with a zero gradient. The library takes long to import, so that only what uses
it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dml.losses.functional import check_batch
from dml.losses.similarity import Similarity

if TYPE_CHECKING:
    from dml.losses.library_distance import LibraryDistance


class LibraryLoss(nn.Module):
    """A loss of pytorch-metric-learning over the tuples that an optional miner of it picks.

    Args:
        num_classes: C, to check labels.
        embedding_size: D, to check embeddings.
        loss: called as ``loss(embeddings, labels, tuples)``.
        miner: called as ``miner(embeddings, labels)``; None leaves the choice to the loss.
        similarity: behind the distances of both; None: those of the library.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        loss: nn.Module,
        miner: nn.Module | None = None,
        similarity: Similarity | None = None,
    ):
        super().__init__()
        self.num_classes = num_classes
        self.width = embedding_size if similarity is None else similarity.width(embedding_size)
        self.loss, self.miner = loss, miner

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings, or the rows of its similarity, and (B,) int64 labels in 0..C−1.

        Half-precision embeddings are widened to float32, in which the library's distances are defined.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        check_batch(embeddings, labels, self.num_classes, self.width)
        if embeddings.dtype in (torch.float16, torch.bfloat16):
            embeddings = embeddings.float()
        tuples = self.miner(embeddings, labels) if self.miner is not None else None
        return self.loss(embeddings, labels, tuples)


def _distance(similarity: Similarity | None, *, inverted: bool) -> LibraryDistance | None:
    if similarity is None:
        return None
    from dml.losses.library_distance import LibraryDistance

    return LibraryDistance(similarity, inverted=inverted)


def multi_similarity_mined(
    *, num_classes: int, embedding_size: int, similarity: Similarity | None = None
) -> LibraryLoss:
    """MS: multi-similarity (Wang et al., CVPR 2019) with α 2, β 50, λ 0.5 on pairs mined with ε 0.1."""
    from pytorch_metric_learning import losses, miners

    distance = _distance(similarity, inverted=True)
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5, distance=distance),
        miner=miners.MultiSimilarityMiner(epsilon=0.1, distance=distance),
        similarity=similarity,
    )


def contrastive_all_pairs(
    *, num_classes: int, embedding_size: int, similarity: Similarity | None = None
) -> LibraryLoss:
    """Contrastive: pairs of a class pulled to distance 0, others pushed beyond 0.5; unit vectors, all pairs."""
    from pytorch_metric_learning import losses

    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.ContrastiveLoss(neg_margin=0.5, distance=_distance(similarity, inverted=False)),
        similarity=similarity,
    )


def triplet_semihard(*, num_classes: int, embedding_size: int, similarity: Similarity | None = None) -> LibraryLoss:
    """Triplet: semi-hard triplets (Schroff et al., CVPR 2015) with margin 0.1 on unit vectors."""
    from pytorch_metric_learning import losses, miners

    distance = _distance(similarity, inverted=False)
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.TripletMarginLoss(margin=0.1, distance=distance),
        miner=miners.TripletMarginMiner(margin=0.1, type_of_triplets="semihard", distance=distance),
        similarity=similarity,
    )


def npairs_unnormalized(*, num_classes: int, embedding_size: int) -> LibraryLoss:
    """NPair: N-pairs (Sohn, NeurIPS 2016) over dot products of embeddings as they come, no l2 penalty.

    It takes no similarity: its soft-max lives from products without bound.
    """
    from pytorch_metric_learning import distances, losses

    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)),
    )
