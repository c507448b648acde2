"""pytorch-metric-learning's own losses, as METHODS §2c composes them: the oracle of ours."""

from __future__ import annotations

from pytorch_metric_learning import distances, losses, miners
from torch import nn

from dml.losses.similarity import Similarity


class LibraryDistance(distances.BaseDistance):
    """A similarity of ours as the library wants it."""

    def __init__(self, similarity: Similarity, *, inverted: bool):
        super().__init__(normalize_embeddings=False, is_inverted=inverted)
        self.compute_mat = similarity.similarities if inverted else similarity.distances


def library(name: str, similarity: Similarity | None = None) -> tuple[nn.Module, nn.Module | None]:
    """The library's loss and miner, as METHODS §2c composes them."""
    distance = None if similarity is None else LibraryDistance(similarity, inverted=name == "MS")
    return {
        "MS": lambda: (
            losses.MultiSimilarityLoss(alpha=2, beta=50, base=0.5, distance=distance),
            miners.MultiSimilarityMiner(epsilon=0.1, distance=distance),
        ),
        "Contrastive": lambda: (losses.ContrastiveLoss(neg_margin=0.5, distance=distance), None),
        "Triplet": lambda: (
            losses.TripletMarginLoss(margin=0.1, distance=distance),
            miners.TripletMarginMiner(margin=0.1, type_of_triplets="semihard", distance=distance),
        ),
        "NPair": lambda: (losses.NPairsLoss(distance=distances.DotProductSimilarity(normalize_embeddings=False)), None),
    }[name]()


def softtriple(ours: nn.Module) -> nn.Module:
    """The library's loss of the constants and centroids of ``ours``, a ``SoftTripleLoss``; it has no regulariser."""
    classes, kinds, size = ours.centroids.shape
    theirs = losses.SoftTripleLoss(
        classes, size, centers_per_class=kinds, la=ours.lam, gamma=ours.gamma, margin=ours.margin_delta
    )
    theirs.fc.data = ours.centroids.detach().flatten(0, 1).T.clone()
    return theirs
