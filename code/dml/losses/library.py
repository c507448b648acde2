"""Losses of pytorch-metric-learning as losses of ours: of those the Proxy-Anchor family is composed (METHODS §2c).

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


def library_distance(similarity: Similarity | None, *, inverted: bool) -> LibraryDistance | None:
    """A similarity of ours as the library takes it; None, for the library's own, of None.

    Args:
        inverted: whether its similarities are wanted, which the library calls inverted distances.
    """
    if similarity is None:
        return None
    from dml.losses.library_distance import LibraryDistance

    return LibraryDistance(similarity, inverted=inverted)
