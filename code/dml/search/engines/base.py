"""What an engine is asked for, and which there are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import numpy as np

from dml.errors import UserError


@dataclass(frozen=True)
class EngineSettings:
    """Which engine an index has, as the index keeps it.

    Attributes:
        name: "exact", "faiss" or "milvus".
        kind: of faiss: "hnsw" or "ivf".
        uri: of milvus: a file of Milvus Lite's, or the address of a cluster.
        collection: of milvus: its name there.
    """

    name: str = "exact"
    kind: str | None = None
    uri: str | None = None
    collection: str | None = None


class Engine(Protocol):
    """Finds vectors that are likely the nearest ones. It may be behind the index, which tells by the ids."""

    def ids(self) -> np.ndarray:
        """(n,) int64, ids of the vectors that it has, in any order."""

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """Take (n, D) float32 vectors under (n,) int64 ids that it does not have, to stay when the process ends."""

    def remove(self, ids: np.ndarray) -> None:
        """Forget (n,) int64 ids."""

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        """(Q, k) int64 ids of what is likely nearest to (Q, D) float32, nearest first; −1 where there is no more."""

    def close(self) -> None:
        """Let go of files and connections."""


def settled(settings: EngineSettings) -> EngineSettings:
    """With what is left open: the kind of structure, a name of its own for the collection, a file's whole path."""
    if settings.name == "faiss":
        return replace(settings, kind=settings.kind or "hnsw")
    if settings.name == "milvus":
        uri = settings.uri or ""
        whole = uri if "://" in uri else str(Path(uri).absolute())
        return replace(settings, uri=whole, collection=settings.collection or f"dml_{uuid4().hex[:12]}")
    return settings


def open_engine(settings: EngineSettings, folder: Path, *, dimensions: int, distance: str) -> Engine:
    """The engine of the index in ``folder``; an empty one where there is none yet.

    Raises:
        UserError: it is not installed, cannot be reached, or is none known here.
    """
    if settings.name == "faiss":
        from dml.search.engines.faiss import FaissEngine

        return FaissEngine(folder, kind=settings.kind or "hnsw", dimensions=dimensions, distance=distance)
    if settings.name == "milvus":
        from dml.search.engines.milvus import MilvusEngine

        return MilvusEngine(
            settings.uri or "", settings.collection or "", folder, dimensions=dimensions, distance=distance
        )
    raise UserError(f"unknown engine {settings.name!r}. Valid: exact, faiss, milvus")
