"""A batch, its tuples and a criterion, as the tests of criteria use them."""

from __future__ import annotations

import torch

from dml.losses import LOSSES, create_loss
from dml.losses.similarity import Similarity
from dml.miners import PairSets, Triplets, create_miner

CRITERIA = {name: spec for name, spec in LOSSES.items() if spec.recipe == "lsd"}  # of Revisiting DML
B, C, D = 13, 5, 6
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 3, 1, 0, 3, 2, 4])  # uneven, one class of a single sample


def samples(scale: float = 1.0) -> torch.Tensor:
    """(B, D) of lengths around 1, float64."""
    generator = torch.Generator().manual_seed(4)
    return (scale / 2.4 * torch.randn(B, D, dtype=torch.float64, generator=generator)).requires_grad_()


def triplets() -> Triplets:
    """Some triplets, more than samples."""
    same = LABELS[:, None] == LABELS
    pairs = same & ~torch.eye(B, dtype=torch.bool)
    every = (pairs[:, :, None] & ~same[:, None, :]).nonzero()
    chosen = every[torch.randperm(len(every), generator=torch.Generator().manual_seed(2))[:20]]
    return Triplets(*chosen.T)


def tuples_for(kind: str) -> Triplets | PairSets | None:
    """Tuples of the kind that a criterion takes."""
    if kind == "sets":
        return create_miner("lifted", embedding_size=D)(None, LABELS)
    return triplets() if kind == "triplets" else None


def make(name: str, similarity: Similarity | None = None, **options) -> torch.nn.Module:
    """A criterion in float64, the same each time."""
    torch.manual_seed(0)
    sizes = {"num_classes": C, "embedding_size": D}
    return create_loss(name, **sizes, options=options, similarity=similarity).double()


def evaluate(criterion: torch.nn.Module, embeddings: torch.Tensor, labels: torch.Tensor = LABELS) -> torch.Tensor:
    """The criterion over the tuples of its kind, with the same draws each time."""
    tuples = tuples_for(kind_of(criterion))
    torch.manual_seed(0)
    return criterion(embeddings, labels) if tuples is None else criterion(embeddings, labels, tuples)


def kind_of(criterion: torch.nn.Module) -> str:
    """Of the tuples that a criterion is called with; "" for none."""
    return getattr(criterion, "tuples", "")
