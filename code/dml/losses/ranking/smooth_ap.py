"""Smooth average precision."""

from __future__ import annotations

from torch import Tensor

from dml.errors import UserError
from dml.losses.criterion import BatchCriterion
from dml.losses.similarity import Similarity
from dml.losses.spec import LossSpec
from dml.options import Option
from dml.ranges import above

LARGEST_EXPONENT = 50.0


class SmoothAPLoss(BatchCriterion):
    """``1 − mean AP`` with ranks made smooth by a sigmoid (Brown et al., ECCV 2020, Eq. 6; METHODS §17).

    For a query i and an item j of its class, ``rank(i, j) = 1 + Σ_{k≠j} σ((S_ik − S_ij) / T)`` over the whole batch,
    and the same over the class alone; AP_i is the mean of their quotient over j.

    NOTE: the query counts as an item of its own class, j = i and k = i included, so that a class of one has AP 1 and
    the loss of a perfect order is 0. NOTE: classes of any sizes; the published constructor wants equal ones.
    O(P·B) for the P = Σ n_c² ordered pairs of a class: B²·n with n images per class.

    Args:
        temperature: T.
        num_classes, embedding_size, similarity: see ``Criterion``.

    Raises:
        UserError: a temperature that is not positive.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        embedding_size: int,
        temperature: float = 0.01,
        similarity: Similarity | None = None,
    ):
        super().__init__(num_classes=num_classes, embedding_size=embedding_size, similarity=similarity)
        if temperature <= 0:
            raise UserError(f"--loss_smooth_ap_temperature must be positive, got {temperature}")
        self.temperature = temperature

    def batch_loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Similarities are those of the embeddings as they come."""
        similarities = self.similarity.similarities(embeddings, embeddings)  # (B, B)
        same = labels[:, None] == labels
        queries, items = same.nonzero(as_tuple=True)  # (P,) each
        differences = similarities[queries] - similarities[queries, items][:, None]  # (P, B)
        exponents = (differences / self.temperature).clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT)
        ahead = exponents.sigmoid().scatter(1, items[:, None], 1.0)  # the item itself is the 1 of its rank
        precisions = (ahead * same[queries]).sum(1) / ahead.sum(1)
        return 1 - (precisions / same.sum(1)[queries]).sum() / len(labels)


SPEC = LossSpec(
    name="smooth_ap",
    build=SmoothAPLoss,
    spellings=("ap_loss",),
    recipe="lsd",
    options={"loss_smooth_ap_temperature": Option("temperature", "of the sigmoid that counts ranks", within=above(0))},
    needs_positives=True,
)
