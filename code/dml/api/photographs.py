"""From photographs to their embeddings, and to what is kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from dml.api.embedder import Embedder
from dml.errors import UserError
from dml.search.items import NewItem, Photograph
from dml.search.reading import Reader

BATCH_SIZE = 64  # photographs that are embedded at a time


class Embedded(NamedTuple):
    """Some photographs.

    Attributes:
        items: n of them that could be read,
        vectors: and their (n, D) float32 embeddings.
        faults: path and reason of the others.
    """

    items: list[NewItem]
    vectors: Tensor
    faults: list[tuple[str, str]]


def embedded(embedder: Embedder, photographs: Sequence[Photograph]) -> Iterator[Embedded]:
    """All photographs, ``BATCH_SIZE`` at a time, each file read once.

    Raises:
        UserError: the network gives embeddings that are not finite.
    """
    reader = Reader(embedder.preprocessing.read, embedder.transform)
    try:
        for start in range(0, len(photographs), BATCH_SIZE):
            read = reader(photographs[start : start + BATCH_SIZE])
            vectors = embedder.embed_prepared(read.images) if read.items else torch.empty(0, embedder.embedding_size)
            check_finite(vectors, [item.path for item in read.items])
            yield Embedded(read.items, vectors, read.faults)
    finally:
        reader.close()


def check_finite(vectors: Tensor, names: Sequence[str]) -> None:
    """UserError for (n, D) embeddings with NaN or infinite values; the message names the first."""
    bad = (~vectors.isfinite().all(1)).nonzero()[:, 0].tolist()
    if bad:
        which = names[bad[0]] if names else f"photograph {bad[0]}"
        raise UserError(f"the network gives embeddings with NaN or infinite values, of {which} first: it is damaged")
