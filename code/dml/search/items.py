"""What an index knows of a photograph, and whether its file is still the one that was indexed."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PIECE = 2**20  # bytes read at a time

PRESENT, CHANGED, GONE = "present", "changed", "gone"
"""States of a file."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that is to be indexed, or to be asked about.

    Attributes:
        path: of its file, absolute.
        label: what it shows; None: nobody says.
    """

    path: str
    label: str | None = None


class Item(NamedTuple):
    """A photograph of an index; a tuple, since there are many of them.

    Attributes:
        id: its number, which no other item of the index ever has.
        row: its row among the embeddings.
        path: of its file, absolute.
        label: what it shows; None: nobody said.
        size: bytes of its file when it was indexed,
        time: when that was last changed, in nanoseconds,
        digest: and its SHA-256.
    """

    id: int
    row: int
    path: str
    label: str | None
    size: int
    time: int
    digest: bytes

    @property
    def name(self) -> str:
        """Of its file, without the folder."""
        return Path(self.path).name


@dataclass(frozen=True)
class NewItem:
    """A photograph that is ready to be added: see ``Item``, and its ``thumbnail`` in JPEG."""

    path: str
    label: str | None
    size: int
    time: int
    digest: bytes
    thumbnail: bytes


def digest_of_file(path: str | os.PathLike[str]) -> bytes:
    """SHA-256. OSError where it cannot be read."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.digest()


def state_of(item: Item) -> str:
    """PRESENT, CHANGED or GONE; a file of the size and time that it had is not read."""
    try:
        now = Path(item.path).stat()
        if (now.st_size, now.st_mtime_ns) == (item.size, item.time):
            return PRESENT
        return PRESENT if now.st_size == item.size and digest_of_file(item.path) == item.digest else CHANGED
    except OSError:
        return GONE


@dataclass(frozen=True)
class Verification:
    """What ``Index.verify`` found.

    Attributes:
        changed: items whose file is another one now,
        gone: and those whose file is not there.
        faults: what is damaged in the index itself, in words.
    """

    changed: tuple[Item, ...]
    gone: tuple[Item, ...]
    faults: tuple[str, ...]
