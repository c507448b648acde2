"""The files of embeddings in the folder of an index: ``embeddings.G.f32``, row after row.

They hold float32 in the order of bytes of x86 and ARM.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dml.search.growing_files import GrowingFiles

VECTOR = np.dtype("<f4")
_COPIED = 2**26  # bytes copied at a time


class VectorFiles(GrowingFiles):
    """The embeddings of an index folder, of ``dimensions`` D each."""

    def __init__(self, folder: Path, dimensions: int):
        super().__init__(folder, "embeddings.{}.f32")
        self.dimensions = dimensions

    def opened(self, generation: int, rows: int) -> np.ndarray | None:
        """The first (rows, D), float32 and memory-mapped; None: that generation has no file.

        Raises:
            IndexFolderError: there are fewer.
        """
        file, needed = self.file(generation), rows * self._row_bytes
        try:
            there = file.stat().st_size
        except FileNotFoundError:
            return None
        if there < needed:
            raise self.shorter(file, there, needed)
        if not rows:
            return np.empty((0, self.dimensions), VECTOR)
        # "c": torch takes no array that must not be written to
        return np.memmap(file, VECTOR, mode="c", shape=(rows, self.dimensions))

    def append(self, generation: int, rows: int, vectors: np.ndarray) -> None:
        """Put (n, D) ``vectors`` behind the first ``rows``; see ``append_pieces``."""
        self.append_pieces(generation, rows * self._row_bytes, [vectors.data])

    def write(self, generation: int, vectors: np.ndarray, rows: np.ndarray) -> None:
        """Make the file of a new generation, of these (n,) rows of ``vectors``; see ``write_pieces``."""
        step = max(1, _COPIED // self._row_bytes)
        starts = range(0, len(rows), step)
        self.write_pieces(generation, (vectors[rows[start : start + step]].data for start in starts))

    @property
    def _row_bytes(self) -> int:
        return self.dimensions * VECTOR.itemsize
