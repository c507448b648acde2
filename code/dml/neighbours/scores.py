"""Similarity scores in bounded memory, on CPU or GPU.

Scores order a gallery for each query, higher is nearer. What the order is :mod:`dml.neighbours.definition` says, by a
score for each pair; ties go to the lower index. To find the pairs that are worth it, blocks of scores come from a
matrix product, in float32 or float64, and lie within a tolerance that is known. Both distances become one inner
product of vectors inside the unit ball:

* ``cosine``: rows are normalised, the score is their inner product;
* ``euclidean``: rows are centred on the gallery's mean and divided by the largest norm, the score is
  q·g − ‖g‖²/2, which orders a query's gallery as −‖q − g‖² does. Centring keeps digits for embeddings that are large
  or nearly collapsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from dml.neighbours.definition import cosine_scores, distinct_rows, euclidean_scores, unit_rows
from dml.neighbours.item_sets import ItemSets

DISTANCES = ("cosine", "euclidean")

_TILE_BYTES = 8 * 2**20  # a piece of the gallery in float64; small, for the allocator keeps such memory
_PAIRS_BYTES = 2**20  # a piece of the terms of single pairs; it stays in cache
_CACHE_BYTES = 256 * 2**20  # a prepared gallery up to this size is kept
_LEFT_OUT_BYTES = 48  # held for each query and item that it leaves out while a block is made


_UNIT = {torch.float32: 2.0**-24, torch.float64: 2.0**-53}
_INPUT_ROUNDING = {torch.float32: 8 * 2.0**-24, torch.float64: 64 * 2.0**-53}


class SimilarityScores:
    """Scores of query rows against a whole gallery, block by block.

    Holds at most one prepared copy of the gallery per dtype, and only if it is small; a larger gallery is
    prepared again, tile by tile, for every block. The work is done on the device of ``query``.

    Args:
        query: (Q, D) floating point; bfloat16 and float16 are taken up to float64.
        gallery: (N, D) floating point, on any device.
        distance: ``cosine`` or ``euclidean``.
        exclude: what of the gallery each query leaves out, whose scores become −inf: its own index, (Q,) int64, or a
            set of items each.

    Raises:
        ValueError: wrong shapes or dtypes, an unknown distance, or rows that are not finite.
    """

    def __init__(
        self, query: Tensor, gallery: Tensor, *, distance: str = "cosine", exclude: Tensor | ItemSets | None = None
    ):
        if distance not in DISTANCES:
            raise ValueError(f"unknown distance {distance!r}. Valid: {', '.join(DISTANCES)}")
        _check_embeddings("query", query)
        if gallery is not query:
            _check_embeddings("gallery", gallery)
        if query.shape[1] != gallery.shape[1]:
            raise ValueError(f"query has {query.shape[1]} dimensions, gallery {gallery.shape[1]}")
        self.query, self.gallery, self.distance = query, gallery, distance
        self.exclude = None if exclude is None else _sets(exclude, len(query), len(gallery)).to(query.device)
        self._largest_left_out = 0 if exclude is None else self.exclude.largest
        self._cache: dict[torch.dtype, Tensor] = {}
        self._distinct: tuple[Tensor, Tensor] | None = None
        self._centre = self._scale = None
        if distance == "euclidean":
            sums = (tile.to(self.device, torch.float64).sum(0) for tile in _raw_tiles(gallery))
            self._centre = sum(sums) / len(gallery)
            sets = [gallery] if gallery is query else [gallery, query]
            self._scale = max(self._largest_norm(embeddings) for embeddings in sets) or 1.0

    @property
    def num_queries(self) -> int:
        return len(self.query)

    @property
    def num_gallery(self) -> int:
        return len(self.gallery)

    @property
    def device(self) -> torch.device:
        return self.query.device

    def tolerance(self, dtype: torch.dtype) -> float:
        """How far an entry of a block of ``dtype`` can lie from the score that defines the order: the bound D·u of an
        inner product's rounding (Higham, Accuracy and Stability, eq. 3.5) in the unit ball, and what the rounding of
        its input costs, for float64 that of the defining score, too."""
        bound = self.query.shape[1] * _UNIT[dtype] + _INPUT_ROUNDING[dtype]
        return bound if self.distance == "cosine" else 1.5 * bound

    def rows_per_block(self, num_bytes: int, dtype: torch.dtype) -> int:
        """How many rows of scores of ``dtype`` fit into ``num_bytes``; at least one."""
        return max(1, num_bytes // self.bytes_per_row(dtype))

    def bytes_per_row(self, dtype: torch.dtype) -> int:
        """What a row of scores of ``dtype`` takes at most while it is made."""
        return self.num_gallery * dtype.itemsize + self._largest_left_out * _LEFT_OUT_BYTES

    def block(self, rows: Tensor, dtype: torch.dtype, *, out: Tensor | None = None) -> Tensor:
        """The scores of the queries ``rows`` (r,) int64, within ``tolerance`` of ``dtype``: (r, N).

        Args:
            dtype: float32 or float64.
            out: memory to write to, (≥ r, ≥ N) of ``dtype``.
        """
        query = self._prepared_queries(rows, dtype)
        shape = (len(rows), self.num_gallery)
        scores = query.new_empty(shape) if out is None else out[: shape[0], : shape[1]]
        start = 0
        with _full_precision(self.device):
            for tile in self._tiles(dtype):
                torch.mm(query, tile.T, out=scores[:, start : start + len(tile)])
                start += len(tile)
        return self._leave_out(rows, scores)

    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The scores that define the order, of single pairs: query ``rows[i]`` with gallery item ``columns[i]``, (p,)
        int64 each, → (p,) float64. Nothing is left out."""
        scores = torch.empty(len(rows), dtype=torch.float64, device=self.device)
        size = max(1, _PAIRS_BYTES // (self.query.shape[1] * 8))
        for part, part_rows, part_columns in zip(
            scores.split(size), rows.split(size), columns.split(size), strict=True
        ):
            if self.distance == "cosine":
                units = (self._units(self.query, part_rows), self._units(self.gallery, part_columns))
                part.copy_(cosine_scores(*units))
            else:
                raw = (self._raw(self.query, part_rows), self._raw(self.gallery, part_columns))
                part.copy_(euclidean_scores(*raw))
        return scores

    def exact_rows(self, rows: Tensor) -> Tensor:
        """The scores that define the order, of the queries ``rows`` (r,) with the whole gallery: (r, N) float64, −inf
        what is left out. Copies in the gallery are looked at once; many times as dear as a block where there are
        none."""
        if self._distinct is None:
            items, place = distinct_rows(self.gallery, _tile_rows(self.gallery))
            self._distinct = items.to(self.device), place.to(self.device)
        items, place = self._distinct
        pairs = self.pairs(rows.repeat_interleave(len(items)), items.repeat(len(rows)))
        return self._leave_out(rows, pairs.view(len(rows), -1).index_select(1, place))

    def to_distance(self, scores: Tensor) -> Tensor:
        """What a score that defines the order stands for: the cosine similarity, or the Euclidean distance."""
        return scores if self.distance == "cosine" else scores.neg().sqrt_()

    def _leave_out(self, rows: Tensor, scores: Tensor) -> Tensor:
        if self.exclude is not None:
            scores[self.exclude.pairs(rows)] = -torch.inf
        return scores

    def _raw(self, embeddings: Tensor, index: Tensor) -> Tensor:
        return embeddings.index_select(0, index.to(embeddings.device)).to(self.device)

    def _units(self, embeddings: Tensor, index: Tensor) -> Tensor:
        """The rows ``index`` (p,) of ``embeddings``, normalised: (p, D) float64."""
        if embeddings is self.gallery and self._is_kept(torch.float64):
            return self._kept(torch.float64).index_select(0, index)
        distinct, place = index.unique_consecutive(return_inverse=True)
        return unit_rows(self._raw(embeddings, distinct)).index_select(0, place)

    def _prepared_queries(self, rows: Tensor, dtype: torch.dtype) -> Tensor:
        if self.query is not self.gallery or not self._is_kept(dtype):
            return self._prepare(self._raw(self.query, rows), dtype, is_query=True)
        queries = self._kept(dtype).index_select(0, rows)
        if self.distance == "euclidean":
            queries[:, -1] = 1.0
        return queries

    def _prepare(self, embeddings: Tensor, dtype: torch.dtype, *, is_query: bool) -> Tensor:
        """Rows in the unit ball whose inner products are scores: (n, D), or (n, D + 1) if Euclidean."""
        if self.distance == "cosine":
            return unit_rows(embeddings.to(self.device)).to(dtype)
        rows = self._centred(embeddings)
        prepared = rows.new_empty(len(rows), rows.shape[1] + 1, dtype=dtype)
        prepared[:, :-1] = rows.div_(self._scale)
        prepared[:, -1] = 1.0 if is_query else torch.linalg.vector_norm(rows, dim=1).square_().mul_(-0.5)
        return prepared

    def _centred(self, embeddings: Tensor) -> Tensor:
        return embeddings.to(self.device).sub(self._centre)  # float64, as the centre is

    def _tiles(self, dtype: torch.dtype) -> Iterator[Tensor]:
        """The prepared gallery; in one piece if it is small, for one product is faster than many."""
        if self._is_kept(dtype):
            yield self._kept(dtype)
            return
        yield from (self._prepare(tile, dtype, is_query=False) for tile in _raw_tiles(self.gallery))

    def _is_kept(self, dtype: torch.dtype) -> bool:
        width = self.gallery.shape[1] + (self.distance == "euclidean")
        return self.num_gallery * width * dtype.itemsize <= _CACHE_BYTES

    def _kept(self, dtype: torch.dtype) -> Tensor:
        """The whole prepared gallery."""
        if dtype not in self._cache:
            if dtype == torch.float32 and self.distance == "cosine" and self._is_kept(torch.float64):
                self._cache[dtype] = self._kept(torch.float64).float()  # pairs will ask for these units, too
                return self._cache[dtype]
            width = self.gallery.shape[1] + (self.distance == "euclidean")
            whole = torch.empty(self.num_gallery, width, dtype=dtype, device=self.device)
            size = max(1, _PAIRS_BYTES // (width * 8))
            for part, tile in zip(whole.split(size), self.gallery.split(size), strict=True):
                part.copy_(self._prepare(tile, dtype, is_query=False))
            self._cache[dtype] = whole
        return self._cache[dtype]

    def _largest_norm(self, embeddings: Tensor) -> float:
        norms = (torch.linalg.vector_norm(self._centred(tile), dim=1) for tile in _raw_tiles(embeddings))
        return max(float(norm.max()) for norm in norms)


def _tile_rows(embeddings: Tensor) -> int:
    return max(1, _TILE_BYTES // (embeddings.shape[1] * 8))


def _raw_tiles(embeddings: Tensor) -> tuple[Tensor, ...]:
    return embeddings.split(_tile_rows(embeddings))


def _check_embeddings(name: str, embeddings: Tensor) -> None:
    if embeddings.ndim != 2 or not embeddings.is_floating_point() or 0 in embeddings.shape:
        raise ValueError(
            f"{name} embeddings must be a non-empty (rows, dimensions) floating point tensor; "
            f"got {tuple(embeddings.shape)} {embeddings.dtype}"
        )
    tiles = _raw_tiles(embeddings)
    if not all(torch.stack(tile.aminmax()).isfinite().all() for tile in tiles):
        bad = sum(int((~tile.isfinite().all(1)).sum()) for tile in tiles)
        raise ValueError(f"{bad} of {len(embeddings)} {name} embeddings hold NaN or infinite values")


def _sets(exclude: Tensor | ItemSets, num_queries: int, num_gallery: int) -> ItemSets:
    """``exclude`` as a set for each query. ValueError if it does not fit."""
    if isinstance(exclude, Tensor):
        if exclude.shape != (num_queries,) or exclude.dtype != torch.int64:
            raise ValueError(f"exclude must be ({num_queries},) int64; got {tuple(exclude.shape)} {exclude.dtype}")
        exclude = ItemSets.one_each(exclude)
    if len(exclude) != num_queries:
        raise ValueError(f"exclude must hold a set for each of {num_queries} queries; got {len(exclude)}")
    if int(exclude.order.min()) < 0 or int(exclude.order.max()) >= num_gallery:
        raise ValueError(f"exclude must hold indices from 0 to {num_gallery - 1}")
    return exclude


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Products of float32 with all their bits, whatever autocast or TF32 setting surrounds them."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
