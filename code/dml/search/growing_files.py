"""Files in the folder of an index that grow at their end, of a generation G each.

Which of their bytes count is not for them to say, but for the database. What counts is never written again, so that who
reads needs no lock; what a killed process left behind it is cut off by the next one that writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from dml.errors import UserError
from dml.writing import naming

_BUFFER = 2**20  # bytes


class IndexFolderError(UserError):
    """A folder that is no index, or one that is damaged."""


class GrowingFiles:
    """The files of one kind.

    Args:
        folder: of the index.
        name: of a file, ``{}`` standing for its generation.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name

    def file(self, generation: int) -> Path:
        """Where that of a generation is."""
        return self.folder / self.name.format(generation)

    def append_pieces(self, generation: int, size: int, pieces: Iterable[bytes | memoryview]) -> None:
        """Force ``pieces`` to the disk behind the first ``size`` bytes, in place of what a killed process left there.

        Raises:
            IndexFolderError: the file is shorter.
            OSError: naming the file, which cannot be written.
        """
        file = self.file(generation)
        with naming(file), file.open("r+b", buffering=_BUFFER) as opened:
            there = opened.seek(0, os.SEEK_END)
            if there < size:
                raise self.shorter(file, there, size)
            if there > size:
                opened.truncate(size)
                opened.seek(size)
            opened.writelines(pieces)
            _sync(opened)

    def write_pieces(self, generation: int, pieces: Iterable[bytes | memoryview]) -> None:
        """Make the file of a new generation, and force it to the disk.

        Raises:
            OSError: naming the file, which cannot be written.
        """
        file = self.file(generation)
        with naming(file), file.open("wb", buffering=_BUFFER) as opened:
            opened.writelines(pieces)
            _sync(opened)
        sync_folder(self.folder)

    def remove_before(self, generation: int) -> None:
        """Delete the files of earlier generations: a killed process may have left more than the last one."""
        for number in range(generation):
            self.file(number).unlink(missing_ok=True)

    @staticmethod
    def shorter(file: Path, there: int, needed: int) -> IndexFolderError:
        """What is to be said of a file of which a part is missing."""
        return IndexFolderError(f"{file} has {there:,} bytes of {needed:,}: it is damaged, make the index anew")


def sync_folder(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can."""
    if os.name == "posix":
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _sync(opened) -> None:
    opened.flush()
    os.fsync(opened.fileno())
