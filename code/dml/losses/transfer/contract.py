"""What every transfer loss is given: the same rows as the target and the source network see them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from dml.errors import UserError
from dml.normalize import widen


@dataclass(frozen=True)
class Representation:
    """One network's view of a batch of B rows (images × views, rows ordered view by view).

    Attributes:
        embedding: (B, D) as the network puts it out.
        features: (B, F) pooled features below the head; None unless the loss needs them.
        maps: (B, C_s, H_s, W_s) feature maps of the matched stages, the k-th of the target beside the k-th of the
            source; empty unless the loss needs them.
    """

    embedding: Tensor
    features: Tensor | None = None
    maps: tuple[Tensor, ...] = ()


def embedding_pair(target: Representation, source: Representation) -> tuple[Tensor, Tensor]:
    """(B, Dt) of the target with its graph and (B, Ds) of the source without, both in float32 or wider.

    Raises:
        ValueError: not matrices, or different numbers of rows; UserError: fewer than two.
    """
    t, s = target.embedding, source.embedding
    if t.ndim != 2 or s.ndim != 2 or len(t) != len(s):
        raise ValueError(
            f"embeddings must be (B, Dt) and (B, Ds) of the same B, got {tuple(t.shape)}, {tuple(s.shape)}"
        )
    if len(t) < 2:
        raise UserError("relations between images need a batch of at least 2 rows, got 1: raise --batch-size")
    return widen(t), widen(s.detach())


def map_pairs(target: Representation, source: Representation) -> list[tuple[Tensor, Tensor]]:
    """The matched maps, (B, Ct, H, W) of the target with its graph and (B, Cs, H, W) of the source without.

    (B, C) features count as (B, C, 1, 1).

    Raises:
        ValueError: no maps, different numbers of maps, or maps that differ in B, H or W.
    """
    if not target.maps or len(target.maps) != len(source.maps):
        raise ValueError(f"feature maps must come in pairs, got {len(target.maps)} and {len(source.maps)}")
    pairs = []
    for t, s in zip(target.maps, source.maps, strict=True):
        t, s = (m[:, :, None, None] if m.ndim == 2 else m for m in (t, s.detach()))
        if t.ndim != 4 or s.ndim != 4 or (t.shape[0], *t.shape[2:]) != (s.shape[0], *s.shape[2:]):
            raise ValueError(f"feature maps must agree in B, H and W, got {tuple(t.shape)} and {tuple(s.shape)}")
        pairs.append((widen(t), widen(s)))
    return pairs


def check_rows(name: str, tensor: Tensor, rows: int) -> None:
    """ValueError unless ``tensor`` is (rows,)."""
    if tensor.shape != (rows,):
        raise ValueError(f"{name} must be ({rows},), got {tuple(tensor.shape)}")
