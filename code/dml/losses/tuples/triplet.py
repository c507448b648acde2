"""The triplet loss (Schroff et al., CVPR 2015): of distances, semi-hard, and of squared distances, with a miner."""

from __future__ import annotations

from torch import Tensor

from dml.losses.criterion import TripletCriterion
from dml.losses.library import LibraryLoss, library_distance
from dml.losses.similarity import Similarity
from dml.losses.spec import MARGIN_MINERS, LossSpec
from dml.miners import Triplets
from dml.options import Option
from dml.ranges import at_least


def triplet_semihard(*, num_classes: int, embedding_size: int, similarity: Similarity | None = None) -> LibraryLoss:
    """The library's, over semi-hard triplets with margin 0.1 on unit vectors."""
    from pytorch_metric_learning import losses, miners

    distance = library_distance(similarity, inverted=False)
    return LibraryLoss(
        num_classes=num_classes,
        embedding_size=embedding_size,
        loss=losses.TripletMarginLoss(margin=0.1, distance=distance),
        miner=miners.TripletMarginMiner(margin=0.1, type_of_triplets="semihard", distance=distance),
        similarity=similarity,
    )


class TripletLoss(TripletCriterion):
    """``mean over triplets of [d(a, p)² − d(a, n)² + margin]₊`` (Schroff et al., CVPR 2015, Eq. 3; METHODS §17).

    pytorch-metric-learning's ``TripletMarginLoss`` over squared distances, on any similarity. O(B²·D).

    Args:
        margin: of the squared distances.
        num_classes, embedding_size, similarity: see ``Criterion``.
    """

    def __init__(
        self, *, num_classes: int, embedding_size: int, margin: float = 0.2, similarity: Similarity | None = None
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        self.margin = margin

    def tuple_loss(self, embeddings: Tensor, labels: Tensor, tuples: Triplets) -> Tensor:
        """Triplets that keep the margin count as 0 in the mean."""
        positive, negative = self.pair_distances(embeddings, tuples)
        return (positive.square() - negative.square() + self.margin).relu().mean()


SPECS = (
    LossSpec(
        name="triplet_semihard",
        build=triplet_semihard,
        spellings=("Triplet",),
        recipe="proxy_anchor",
        needs_positives=True,
    ),
    LossSpec(
        name="triplet_squared",
        build=TripletLoss,
        spellings=("triplet",),
        recipe="lsd",
        options={"loss_triplet_margin": Option("margin", "margin of the squared distances", within=at_least(0))},
        miners=MARGIN_MINERS,
        needs_positives=True,
    ),
)
