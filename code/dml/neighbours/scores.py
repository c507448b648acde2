"""Similarity scores in bounded memory, on CPU or GPU.

Scores order a gallery for each query, higher is nearer. Both distances become one inner product of vectors
inside the unit ball:

* ``cosine``: rows are normalised as v / sqrt(Σv² + 1e-12), the score is their inner product;
* ``euclidean``: rows are centred on the gallery's mean and divided by the largest norm, the score is
  q·g − ‖g‖²/2, which orders a query's gallery as −‖q − g‖² does. Centring keeps the order exact for
  embeddings that are large or nearly collapsed.

The order is that of float64 scores rounded to multiples of 2^-44, so that copies of a row tie whatever the
order of summation, and ties go to the lower index. Hence no result depends on the size of the chunks, the
number of threads or the device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor

from dml.neighbours.item_sets import ItemSets

DISTANCES = ("cosine", "euclidean")

_TIE_GRID = 2.0**44
_EPSILON = 1e-12  # of the norm, METHODS §0
_TILE_BYTES = 8 * 2**20  # a piece of the gallery in float64; small, for the allocator keeps such memory
_CACHE_BYTES = 256 * 2**20  # a prepared gallery up to this size is kept
_PAIR_BYTES = 48  # held for each query and item that it leaves out while a block is made


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

    @property
    def tolerance(self) -> float:
        """How far a float32 score can lie from the float64 one: the bound D·u of an inner product's rounding
        (Higham, Accuracy and Stability, eq. 3.5) in the unit ball, and 8·u for the rounding of its input."""
        bound = (self.query.shape[1] + 8) * 2.0**-24
        return bound if self.distance == "cosine" else 1.5 * bound

    def rows_per_block(self, num_bytes: int, dtype: torch.dtype) -> int:
        """How many rows of scores of ``dtype`` fit into ``num_bytes``; at least one."""
        return max(1, num_bytes // self.bytes_per_row(dtype))

    def bytes_per_row(self, dtype: torch.dtype) -> int:
        """What a row of scores of ``dtype`` takes at most while it is made."""
        return self.num_gallery * dtype.itemsize + self._largest_left_out * _PAIR_BYTES

    def block(self, rows: Tensor, dtype: torch.dtype, *, out: Tensor | None = None) -> Tensor:
        """The scores of the queries ``rows`` (r,) int64: (r, N).

        Args:
            dtype: float64 for exact scores, on the grid of ties; float32 for scores within ``tolerance``.
            out: memory to write to, (≥ r, N) of ``dtype``.
        """
        query = self._prepare(self.query[rows], dtype, is_query=True)
        scores = query.new_empty(len(rows), self.num_gallery) if out is None else out[: len(rows)]
        start = 0
        with _full_precision(self.device):
            for tile in self._tiles(dtype):
                torch.mm(query, tile.T, out=scores[:, start : start + len(tile)])
                start += len(tile)
        if dtype == torch.float64:
            _round_to_grid(scores)
        if self.exclude is not None:
            scores[self.exclude.pairs(rows)] = -torch.inf
        return scores

    def pairs(self, rows: Tensor, columns: Tensor) -> Tensor:
        """The float64 scores, on the grid of ties, of single pairs: query ``rows[i]`` with gallery item
        ``columns[i]``, (p,) int64 each, → (p,). Nothing is left out."""
        scores = torch.empty(len(rows), dtype=torch.float64, device=self.device)
        size = _tile_rows(self.gallery)
        for part, part_rows, part_columns in zip(
            scores.split(size), rows.split(size), columns.to(self.gallery.device).split(size), strict=True
        ):
            queries, place = part_rows.unique_consecutive(return_inverse=True)
            query = self._prepare(self.query[queries], torch.float64, is_query=True)[place]
            gallery = self._prepare(self.gallery[part_columns], torch.float64, is_query=False)
            torch.sum(query.mul_(gallery), 1, out=part)
        return _round_to_grid(scores)

    def to_distance(self, rows: Tensor, scores: Tensor) -> Tensor:
        """What a float64 score (r, k) stands for: the cosine similarity, or the Euclidean distance.

        A distance that the grid of ties cannot tell from zero is zero: below 3.5e-7 of the largest norm.
        """
        if self.distance == "cosine":
            return scores
        query = self._prepare(self.query[rows], torch.float64, is_query=False)
        square = query[:, :-1].square().sum(1, keepdim=True) - 2 * scores
        return F.threshold(square, 2 / _TIE_GRID, 0.0).sqrt_() * self._scale

    def _prepare(self, embeddings: Tensor, dtype: torch.dtype, *, is_query: bool) -> Tensor:
        """Rows in the unit ball whose inner products are scores: (n, D), or (n, D + 1) if Euclidean."""
        if self.distance == "cosine":
            rows = embeddings.to(self.device, torch.float64)
            square = torch.linalg.vector_norm(rows, dim=1, keepdim=True).square_()
            return rows.div(square.add_(_EPSILON).sqrt_()).to(dtype)
        rows = self._centred(embeddings)
        prepared = rows.new_empty(len(rows), rows.shape[1] + 1, dtype=dtype)
        prepared[:, :-1] = rows.div_(self._scale)
        prepared[:, -1] = 1.0 if is_query else torch.linalg.vector_norm(rows, dim=1).square_().mul_(-0.5)
        return prepared

    def _centred(self, embeddings: Tensor) -> Tensor:
        return embeddings.to(self.device).sub(self._centre)  # float64, as the centre is

    def _tiles(self, dtype: torch.dtype) -> Iterator[Tensor]:
        """The prepared gallery; in one piece if it is small, for one product is faster than many."""
        width = self.gallery.shape[1] + (self.distance == "euclidean")
        tiles = (self._prepare(tile, dtype, is_query=False) for tile in _raw_tiles(self.gallery))
        if self.num_gallery * width * dtype.itemsize > _CACHE_BYTES:
            yield from tiles
            return
        if dtype not in self._cache:
            whole = torch.empty(self.num_gallery, width, dtype=dtype, device=self.device)
            for part, tile in zip(whole.split(_tile_rows(self.gallery)), tiles, strict=True):
                part.copy_(tile)
            self._cache[dtype] = whole
        yield self._cache[dtype]

    def _largest_norm(self, embeddings: Tensor) -> float:
        norms = (torch.linalg.vector_norm(self._centred(tile), dim=1) for tile in _raw_tiles(embeddings))
        return max(float(norm.max()) for norm in norms)


def _round_to_grid(scores: Tensor) -> Tensor:
    return scores.mul_(_TIE_GRID).round_().mul_(1 / _TIE_GRID)


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
