"""Files that are whole at any moment, whatever kills the run and whenever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from dml.writing import naming


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when the block has ended well and is gone otherwise.

    At any moment the old file or the whole new one is there.

    Raises:
        OSError: naming ``path``: no room on the disk, no right to write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` as torch does; see ``replacing``."""
    with replacing(path) as file:
        torch.save(state, file)


def write_text_atomically(text: str, path: Path) -> None:
    """The same for a text file, in UTF-8, but for the names of files that are no text: those are kept byte for byte."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)
