"""The files of thumbnails in the folder of an index: ``thumbnails.G.jpegs``, one JPEG behind the other.

Where each begins, and how long it is, stands in the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dml.search.growing_files import GrowingFiles

_COPIED = 2**24  # bytes copied at a time


class ThumbnailFiles(GrowingFiles):
    """The thumbnails of an index folder."""

    def __init__(self, folder: Path):
        super().__init__(folder, "thumbnails.{}.jpegs")

    def size(self, generation: int) -> int:
        """Bytes of the file, those that do not count too; 0 if there is none."""
        file = self.file(generation)
        return file.stat().st_size if file.is_file() else 0

    def read(self, generation: int, start: int, size: int) -> bytes | None:
        """One of them; None: the file is not there, or ends before."""
        try:
            with self.file(generation).open("rb", buffering=0) as opened:
                opened.seek(start)
                jpeg = opened.read(size)
        except FileNotFoundError:
            return None
        return jpeg if len(jpeg) == size else None

    def append(self, generation: int, size: int, jpegs: Sequence[bytes]) -> None:
        """Put them behind the first ``size`` bytes; see ``append_pieces``."""
        self.append_pieces(generation, size, jpegs)

    def write(self, generation: int, source: int, starts: np.ndarray, sizes: np.ndarray) -> None:
        """Make the file of a new generation of those of generation ``source`` that lie at (n,) ``starts``, ascending;
        see ``write_pieces``.

        Raises:
            IndexFolderError: the file of ``source`` is shorter than that.
        """
        needed = int(starts[-1] + sizes[-1]) if len(starts) else 0
        if self.size(source) < needed:
            raise self.shorter(self.file(source), self.size(source), needed)
        self.write_pieces(generation, self._pieces(source, starts, starts + sizes))

    def _pieces(self, source: int, starts: np.ndarray, ends: np.ndarray) -> Iterator[bytes]:
        """Those that lie side by side are copied as one."""
        if not len(starts):
            return
        is_first = np.r_[True, starts[1:] != ends[:-1]]
        is_last = np.r_[is_first[1:], True]
        with self.file(source).open("rb", buffering=0) as opened:
            for start, end in zip(starts[is_first].tolist(), ends[is_last].tolist(), strict=True):
                for place in range(start, end, _COPIED):
                    opened.seek(place)
                    yield opened.read(min(_COPIED, end - place))
