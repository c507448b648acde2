"""Exact search in the memory-mapped embeddings of an index, prepared so that one photograph is answered at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dml.neighbours import ItemSets, nearest_neighbours, ordered_topk
from dml.normalize import EPS

_CHUNK_BYTES = 2**26  # of the embeddings that are mapped at a time, where they are more
_FEW = 16  # queries that are answered one after another; more share the work
_SLACK = 16  # candidates looked at beyond the k-th neighbour
_NORM_BYTES = 2**23  # of the embeddings whose norms are taken at a time


class ExactSearch:
    """The nearest rows of a snapshot, as ``dml.nearest_neighbours`` finds them among the living ones.

    For one query, a float32 product with the embeddings as they are stored finds candidates; ``nearest_neighbours``
    decides among these. Only if rounding could have moved others among them does it look at all. Beside the mapped
    embeddings 4 bytes a row are held.

    Args:
        vectors: (R, D) float32, memory-mapped; a chunk of them at a time is asked for.
        rows: (N,) int64, the living rows, ascending.
        distance: "cosine" or "euclidean".
    """

    def __init__(self, vectors: np.ndarray, rows: np.ndarray, *, distance: str):
        self.vectors, self.rows, self.distance = vectors, rows, distance
        dead = np.ones(len(vectors), dtype=bool)
        dead[rows] = False
        self.dead = torch.from_numpy(np.flatnonzero(dead))
        step = max(1, _NORM_BYTES // max(1, vectors.shape[1] * 4))
        # At least one piece, for torch.cat.
        pieces = [self._square_norms(start, start + step) for start in range(0, max(1, len(vectors)), step)]
        squares = torch.cat(pieces)
        self._largest = float(squares.max()) ** 0.5 if len(squares) else 0.0
        self._inverse = squares.add(EPS).rsqrt().float() if distance == "cosine" else None
        self._half = squares.mul(0.5).float() if distance == "euclidean" else None

    def __len__(self) -> int:
        """Living rows, N."""
        return len(self.rows)

    def search(self, query: Tensor, k: int, *, exclude: ItemSets | None = None) -> tuple[Tensor, Tensor]:
        """The k nearest living rows of each query, nearest first, equal ones by lower row.

        Args:
            query: (Q, D) float32 on the CPU.
            k: 1 to N, less what a query leaves out.
            exclude: rows that each query leaves out. A list that has fewer than k others ends in rows at similarity
                −inf or distance inf.

        Returns:
            rows (Q, k) int64 and similarities or distances (Q, k) float32.
        """
        if exclude is None and len(query) <= _FEW and k + _SLACK < len(self):
            found = [self._search_one(one, k) for one in query]
            return torch.stack([rows for rows, _ in found]), torch.stack([values for _, values in found])
        return self._search_all(query, k, exclude)

    def _search_one(self, query: Tensor, k: int) -> tuple[Tensor, Tensor]:
        scores = self._scores(query)
        near, candidates = (part[0] for part in ordered_topk(scores[None], k + _SLACK))
        is_candidate = near >= near[k - 1] - 2 * self._tolerance(query)
        if bool(is_candidate[-1]) or not bool(near.isfinite().all()):
            rows, values = self._search_all(query[None], k, None)
            return rows[0], values[0]
        candidates = candidates[is_candidate].sort().values  # so that the lower place is the lower row
        gallery = self._read(candidates.tolist())
        places, values = nearest_neighbours(query[None], gallery, k, distance=self.distance)
        return candidates[places[0]], values[0]

    def _scores(self, query: Tensor) -> Tensor:
        """(R,) float32, higher is nearer; −inf of dead rows."""
        scores = torch.empty(len(self.vectors))
        step = max(1, _CHUNK_BYTES // (self.vectors.shape[1] * 4))
        if self.distance == "cosine":
            query = query * query.double().square().sum().add(EPS).rsqrt().float()
        for start in range(0, len(scores), step):
            torch.mv(self._mapped(start, start + step), query, out=scores[start : start + step])
        if self.distance == "cosine":
            scores.mul_(self._inverse)
        else:
            scores.sub_(self._half)
        return scores.index_fill_(0, self.dead, -torch.inf)

    def _tolerance(self, query: Tensor) -> float:
        """How far a float32 score can lie from what it stands for: the bound D·u of an inner product's rounding
        (Higham, Accuracy and Stability, eq. 3.5), and 8·u for the rounding of norms and of the last operation."""
        bound = (len(query) + 8) * 2.0**-24
        if self.distance == "cosine":
            return bound
        return bound * self._largest * (float(torch.linalg.vector_norm(query)) + self._largest / 2)

    def _search_all(self, query: Tensor, k: int, exclude: ItemSets | None) -> tuple[Tensor, Tensor]:
        gallery = self._mapped(0, len(self.vectors))
        if not len(self.dead):
            return nearest_neighbours(query, gallery, k, distance=self.distance, exclude=exclude)
        if exclude is None:
            nothing = torch.zeros(len(query), dtype=torch.int64)
            dead = ItemSets(self.dead, nothing, nothing + len(self.dead))
            return nearest_neighbours(query, gallery, k, distance=self.distance, exclude=dead)
        # Among the living ones alone: a quarter of the rows at most is dead.
        living = torch.from_numpy(self.rows)
        place = torch.full((len(self.vectors),), -1)
        place[living] = torch.arange(len(living))
        among = ItemSets(place[exclude.order], exclude.start, exclude.size)
        places, values = nearest_neighbours(query, gallery[living], k, distance=self.distance, exclude=among)
        return living[places], values

    def _read(self, rows: list[int]) -> Tensor:
        """(n, D) of some rows; of a large file by reading them, for mapped ones bring what lies around them along."""
        if not isinstance(self.vectors, np.memmap) or self.vectors.nbytes <= _CHUNK_BYTES:
            return torch.from_numpy(np.asarray(self.vectors[rows]))
        read = np.empty((len(rows), self.vectors.shape[1]), self.vectors.dtype)
        with Path(self.vectors.filename).open("rb", buffering=0) as file:
            for place, row in enumerate(rows):
                file.seek(row * read[place].nbytes)
                file.readinto(read[place].data)
        return torch.from_numpy(read)

    def _mapped(self, start: int, end: int) -> Tensor:
        """(n, D) of the embeddings; of a large file a part that is mapped for itself, and let go of with the tensor."""
        end = min(end, len(self.vectors))
        if isinstance(self.vectors, np.memmap) and (start, end) != (0, len(self.vectors)):
            width = self.vectors.shape[1]
            shape, offset = (end - start, width), start * width * self.vectors.itemsize
            return torch.from_numpy(np.memmap(self.vectors.filename, self.vectors.dtype, "c", offset, shape))
        return torch.from_numpy(np.asarray(self.vectors[start:end]))

    def _square_norms(self, start: int, end: int) -> Tensor:
        part = self._mapped(start, end).numpy()
        return torch.from_numpy(np.einsum("nd,nd->n", part, part, dtype=np.float64))  # without a copy in float64
