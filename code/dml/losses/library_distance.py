"""A similarity of ours as a distance of pytorch-metric-learning's."""

from __future__ import annotations

from pytorch_metric_learning import distances
from torch import Tensor

from dml.losses.similarity import Similarity


class LibraryDistance(distances.BaseDistance):
    """A similarity as the library wants it: distances, or similarities, which it calls inverted distances.

    The library is kept from normalising the rows, which may be more than embeddings.
    """

    def __init__(self, similarity: Similarity, *, inverted: bool):
        super().__init__(normalize_embeddings=False, is_inverted=inverted)
        self.compare = similarity.similarities if inverted else similarity.distances

    def compute_mat(self, query_emb: Tensor, ref_emb: Tensor | None) -> Tensor:
        """(B, C) of the rows of both."""
        return self.compare(query_emb, ref_emb)
