"""What losses of a batch, and of tuples of it, share: sizes, checks and the similarity by which they compare.

Those of the Revisiting-DML code base (Roth et al., ICML 2020; METHODS §17) take a batch as the network puts it out:
they are published with networks that give unit vectors.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dml.losses.functional import check_batch
from dml.losses.similarity import DotProductSimilarity, Similarity
from dml.miners import PairSets, Triplets
from dml.normalize import widen


class Criterion(nn.Module):
    """Sizes, checks and the similarity of one criterion.

    Args:
        num_classes: C.
        embedding_size: D.
        similarity: by which samples are compared; None: ``own_similarity``.

    Attributes:
        own_similarity: the one that is published with it: inner products and Euclidean distances, or another.
        tuples: which tuples it is called with: "triplets", "sets", or "" for none.
        mining_similarity: by whose distances these are picked: ``similarity``, or plain Euclidean distances.
    """

    own_similarity: Similarity = DotProductSimilarity()
    tuples = ""

    def __init__(self, *, num_classes: int, embedding_size: int, similarity: Similarity | None = None):
        super().__init__()
        self.num_classes, self.embedding_size = num_classes, embedding_size
        self.mining_similarity = similarity or DotProductSimilarity()
        self.similarity = similarity or self.own_similarity

    def checked(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The embeddings in float32 or wider. ValueError if they or the labels do not fit."""
        check_batch(embeddings, labels, self.num_classes, self.similarity.width(self.embedding_size))
        return widen(embeddings)

    def mined(self, rows: Tensor) -> Tensor:
        """(B, B) distances of the batch's rows, which a miner picks tuples by."""
        return self.mining_similarity.distances(rows, rows)


class BatchCriterion(Criterion, ABC):
    """A criterion of the whole batch."""

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings, or the rows of its similarity, and (B,) int64 labels in 0..C−1.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        return self.batch_loss(self.checked(embeddings, labels), labels)

    @abstractmethod
    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """``forward`` of what fits, in float32 or wider."""


class TupleCriterion(Criterion, ABC):
    """A criterion of tuples that somebody else picked."""

    def forward(self, embeddings: Tensor, labels: Tensor, tuples: Triplets | PairSets) -> Tensor:
        """Scalar loss of tuples of a batch; without any 0, with a zero gradient.

        Args:
            embeddings: (B, D), or the rows of its similarity.
            labels: (B,) int64 in 0..C−1.
            tuples: of the kind that ``self.tuples`` names.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        rows = self.checked(embeddings, labels)
        if len(tuples.anchors) == 0:
            return (rows * 0).sum()
        return self.tuple_loss(rows, labels, tuples)

    @abstractmethod
    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets | PairSets) -> Tensor:
        """``forward`` of at least one tuple, with embeddings in float32 or wider."""


class TripletCriterion(TupleCriterion):
    """A criterion of triplets (anchor, positive, negative)."""

    tuples = "triplets"

    def pair_distances(self, embeddings: Tensor, triplets: Triplets) -> tuple[Tensor, Tensor]:
        """(T,) distances of anchors to positives, and to negatives. O(B²·D), whatever T."""
        distances = self.similarity.distances(embeddings, embeddings)  # (B, B)
        return distances[triplets.anchors, triplets.positives], distances[triplets.anchors, triplets.negatives]


class SetCriterion(TupleCriterion):
    """A criterion of anchors with sets of positives and negatives."""

    tuples = "sets"


def mean_norm(embeddings: Tensor) -> Tensor:
    """Mean length of the rows, whose gradient is 0 for a row of zeros."""
    return embeddings.norm(dim=1).mean()
