"""The files of embeddings in the folder of an index: ``embeddings.G.f32``, row after row, of a generation G each.

They hold float32 in the order of bytes of x86 and ARM. Which rows count is not for them to say, but for the database.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from dml.errors import UserError
from dml.writing import naming

VECTOR = np.dtype("<f4")
_COPIED = 2**26  # bytes copied at a time


class IndexFolderError(UserError):
    """A folder that is no index, or one that is damaged."""


class VectorFiles:
    """The embeddings of an index folder, of ``dimensions`` D each."""

    def __init__(self, folder: Path, dimensions: int):
        self.folder, self.dimensions = folder, dimensions

    def file(self, generation: int) -> Path:
        """Where those of a generation are."""
        return self.folder / f"embeddings.{generation}.f32"

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
            raise IndexFolderError(f"{file} has {there:,} bytes of {needed:,}: it is damaged, make the index anew")
        if not rows:
            return np.empty((0, self.dimensions), VECTOR)
        # "c": torch takes no array that must not be written to
        return np.memmap(file, VECTOR, mode="c", shape=(rows, self.dimensions))

    def append(self, generation: int, rows: int, vectors: np.ndarray) -> None:
        """Force (n, D) ``vectors`` to the disk behind the first ``rows``, over what a killed process left there."""
        file = self.file(generation)
        with naming(file), file.open("r+b") as opened:
            opened.truncate(rows * self._row_bytes)
            opened.seek(0, os.SEEK_END)
            opened.write(vectors.data)
            opened.flush()
            os.fsync(opened.fileno())

    def write(self, generation: int, vectors: np.ndarray, rows: np.ndarray) -> None:
        """Make the file of a new generation, of these (n,) rows of ``vectors``, and force it to the disk."""
        file, step = self.file(generation), max(1, _COPIED // self._row_bytes)
        with naming(file), file.open("wb") as opened:
            for start in range(0, len(rows), step):
                opened.write(vectors[rows[start : start + step]].data)
            opened.flush()
            os.fsync(opened.fileno())
        sync_folder(self.folder)

    def remove_before(self, generation: int) -> None:
        """Delete the files of earlier generations: a killed process may have left more than the last one."""
        for number in range(generation):
            self.file(number).unlink(missing_ok=True)

    @property
    def _row_bytes(self) -> int:
        return self.dimensions * VECTOR.itemsize


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
