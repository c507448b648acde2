"""A criterion of tuples with the miner that picks them: a loss of embeddings and labels like any other."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dml.losses.criterion import TupleCriterion
from dml.losses.library import LibraryLoss
from dml.miners import Miner, create_miner


class MinedLoss(nn.Module):
    """Tuples from the batch's distances, or its rows, then the criterion over them.

    O(B²·D) and what criterion and miner cost.

    Args:
        criterion: called with embeddings, labels and tuples.
        miner: gives tuples of the kind that the criterion takes.

    Raises:
        ValueError: a miner of the other kind.
    """

    def __init__(self, criterion: TupleCriterion | LibraryLoss, miner: Miner):
        super().__init__()
        if miner.gives != criterion.tuples:
            raise ValueError(
                f"{type(criterion).__name__} takes {criterion.tuples}, but {type(miner).__name__} gives {miner.gives}"
            )
        self.criterion, self.miner = criterion, miner

    @classmethod
    def with_miner(
        cls,
        criterion: TupleCriterion | LibraryLoss,
        name: str,
        *,
        embedding_size: int | None,
        options: Mapping[str, object] | None = None,
    ) -> MinedLoss:
        """With a miner of ``dml.miners.MINERS``, which is told the criterion's margin if there is one.

        Args:
            name, embedding_size, options: see ``dml.miners.create_miner``, as for what is raised.
        """
        margin = getattr(criterion, "margin", None)
        return cls(criterion, create_miner(name, embedding_size=embedding_size, margin=margin, options=options))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Scalar loss of (B, D) embeddings, or the rows of the criterion's similarity, and (B,) int64 labels.

        Raises:
            ValueError: shapes or labels that do not fit.
        """
        with torch.no_grad():
            rows = self.criterion.checked(embeddings, labels)
            tuples = self.miner(self.criterion.mined(rows), labels)
        return self.criterion(embeddings, labels, tuples)
