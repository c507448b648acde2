"""FAISS on this machine: a graph (HNSW) or lists around centres (IVF), in a file beside the embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dml.errors import UserError
from dml.writing import replacing

FILE, REMOVED = "faiss.index", "faiss.removed.npy"
LINKS, BUILD_WIDTH, SEARCH_WIDTH = 32, 200, 128  # of HNSW: M, efConstruction, efSearch
PROBED = 16  # lists of IVF that are searched
_TRAINED_ON = 256  # vectors per list, at most, that centres are found from
_FEWEST = 39  # vectors per list that FAISS wants for it
MOST_REMOVED = 0.25  # of its vectors, before it is built anew


class FaissEngine:
    """See ``Engine``. Of cosine similarity the vectors are brought to unit length.

    IVF's centres are found from the first vectors that it is given, and again when four times as many lists would suit.

    Args:
        folder: of the index.
        kind: "hnsw" or "ivf".
        dimensions: D.
        distance: "cosine" or "euclidean".

    Raises:
        UserError: FAISS is not installed, or its file is damaged.
    """

    def __init__(self, folder: Path, *, kind: str, dimensions: int, distance: str):
        try:
            import faiss
        except ImportError:
            raise UserError("--engine faiss needs FAISS: `pip install '.[faiss]'` installs it") from None
        self.faiss, self.kind, self.dimensions, self.distance = faiss, kind, dimensions, distance
        self._file, self._removed_file = folder / FILE, folder / REMOVED
        self._index: Any = self._empty(0)
        self._removed = np.empty(0, np.int64)
        if self._file.exists():
            try:
                self._index = faiss.read_index(str(self._file))
                if self._removed_file.exists():
                    self._removed = np.load(self._removed_file, allow_pickle=False)
            except (RuntimeError, ValueError, OSError) as error:
                raise UserError(f"{self._file} is damaged: delete it, it is made again") from error

    def ids(self) -> np.ndarray:
        """See ``Engine``."""
        return np.setdiff1d(self._all_ids(), self._removed)

    def add(self, ids: np.ndarray, vectors: np.ndarray) -> None:
        """See ``Engine``."""
        vectors = self._prepared(vectors)
        number = self._index.ntotal + len(ids)
        outgrown = self.kind == "ivf" and 4 * self._index.nlist < _lists(number)
        if outgrown or np.isin(ids, self._removed).any():
            old, old_vectors = self._living()
            ids, vectors = np.concatenate([old, ids]), np.concatenate([old_vectors, vectors])
            self._index, self._removed = self._empty(len(ids)), self._removed[:0]
        if not self._index.is_trained:
            some = np.random.default_rng(0).permutation(len(vectors))[: self._index.nlist * _TRAINED_ON]
            self._index.train(vectors[some])
        self._index.add_with_ids(vectors, ids)
        self._save()

    def remove(self, ids: np.ndarray) -> None:
        """See ``Engine``; they are passed over, until they are so many that it is built anew."""
        self._removed = np.union1d(self._removed, np.intersect1d(ids, self._all_ids()))
        if len(self._removed) > MOST_REMOVED * self._index.ntotal:
            living, vectors = self._living()
            self._index, self._removed = self._empty(len(living)), self._removed[:0]
            if len(living):
                self.add(living, vectors)
                return
        self._save()

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        """See ``Engine``."""
        if not self._index.ntotal:
            return np.full((len(query), k), -1, np.int64)
        living = None
        if len(self._removed):
            living = self.faiss.IDSelectorNot(self.faiss.IDSelectorBatch(self._removed))
        if self.kind == "hnsw":
            how: Any = self.faiss.SearchParametersHNSW(efSearch=max(SEARCH_WIDTH, 2 * k), sel=living)
        else:
            how = self.faiss.SearchParametersIVF(nprobe=PROBED, sel=living)
        # Where faiss.contrib.torch_utils was imported, as pytorch-metric-learning does, ``search`` takes no ``params``
        # any more, and is there as ``search_numpy``.
        search = getattr(self._index, "search_numpy", self._index.search)
        return search(self._prepared(query), k, params=how)[1]

    def close(self) -> None:
        """See ``Engine``."""

    def _empty(self, number: int) -> Any:
        """One that is to take so many vectors."""
        faiss = self.faiss
        metric = faiss.METRIC_INNER_PRODUCT if self.distance == "cosine" else faiss.METRIC_L2
        if self.kind == "hnsw":
            graph = faiss.IndexHNSWFlat(self.dimensions, LINKS, metric)
            graph.hnsw.efConstruction = BUILD_WIDTH
            return faiss.IndexIDMap2(graph)
        return faiss.index_factory(self.dimensions, f"IVF{_lists(number)},Flat", metric)

    def _all_ids(self) -> np.ndarray:
        faiss = self.faiss
        if self.kind == "hnsw":
            return faiss.vector_to_array(self._index.id_map).astype(np.int64)
        lists = self._index.invlists
        parts = [
            faiss.rev_swig_ptr(lists.get_ids(number), lists.list_size(number)).copy()
            for number in range(self._index.nlist)
            if lists.list_size(number)
        ]
        return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)

    def _living(self) -> tuple[np.ndarray, np.ndarray]:
        """Ids and vectors that are not removed."""
        living = self.ids()
        if not len(living):
            return living, np.empty((0, self.dimensions), np.float32)
        if self.kind == "ivf":
            self._index.set_direct_map_type(self.faiss.DirectMap.Hashtable)
        return living, self._index.reconstruct_batch(living)

    def _prepared(self, vectors: np.ndarray) -> np.ndarray:
        vectors = np.array(vectors, dtype=np.float32, order="C")
        if self.distance == "cosine":
            self.faiss.normalize_L2(vectors)
        return vectors

    def _save(self) -> None:
        with replacing(self._removed_file) as file:
            np.save(file, self._removed)
        with replacing(self._file) as file:
            file.write(self.faiss.serialize_index(self._index).data)


def _lists(number: int) -> int:
    """How many lists suit so many vectors: about 4 √N, with vectors enough in each."""
    return int(max(1, min(4 * number**0.5, number / _FEWEST)))
