"""An index folder as it is read: rows of SQLite that are the truth, and the files that they point into.

``items.sqlite`` has the items and what is to be known of the index, ``VectorFiles`` the embeddings, ``ThumbnailFiles``
the thumbnails.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dml.search.database import COLUMNS, connect, item_of_row, transaction
from dml.search.growing_files import IndexFolderError
from dml.search.items import Item
from dml.search.thumbnails import ThumbnailFiles
from dml.search.vectors import VectorFiles

FORMAT = "dml-index-2"
DATABASE = "items.sqlite"
_ASKED = 500  # items that one query of SQLite names
_TRIES = 10  # to find a file between two of another process's generations


@dataclass(frozen=True)
class Snapshot:
    """The embeddings as they are at one moment.

    Attributes:
        generation: of the file; rows have other numbers in another one.
        change: the number of the last change of the items.
        vectors: (R, D) float32, memory-mapped; those of dead rows too.
    """

    generation: int
    change: int
    vectors: np.ndarray


class OpenedIndex:
    """An opened index folder. Its methods may be called by several threads.

    Args:
        folder: made by ``Store.create``.

    Raises:
        IndexFolderError: it is none.
    """

    def __init__(self, folder: Path):
        self.folder, self._lock = folder, threading.RLock()
        if not (folder / DATABASE).is_file():
            what = "is no index" if folder.exists() else "does not exist"
            raise IndexFolderError(f"{folder} {what}: `python code/search.py index` makes one")
        try:
            self._db = connect(folder / DATABASE)
            about = dict(self._db.execute("SELECT key, value FROM about"))
        except sqlite3.DatabaseError as error:
            raise IndexFolderError(f"{folder / DATABASE} is damaged, or no index: {error}") from error
        if about.get("format") != json.dumps(FORMAT):
            told = f"{folder}: an index of format {about.get('format')}, this version reads {FORMAT}"
            raise IndexFolderError(f"{told}: make it anew by `python code/search.py index`")
        self.dimensions: int = json.loads(about["dimensions"])
        self._vectors, self._thumbnails = VectorFiles(folder, self.dimensions), ThumbnailFiles(folder)

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()

    # What is to be known

    def about(self) -> dict[str, Any]:
        """Everything that is kept beside the items."""
        with self._lock:
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM about")}

    # Reading

    def __len__(self) -> int:
        with self._lock:
            return self._db.execute("SELECT count(*) FROM items").fetchone()[0]

    def change(self) -> int:
        """The number of the last change of the items, by whichever process."""
        with self._lock:
            return self._value("change")

    def snapshot(self) -> Snapshot:
        """The embeddings as they are now.

        Raises:
            IndexFolderError: there are fewer than the items say.
        """
        for _ in range(_TRIES):
            with self._lock:
                about = self.about()
            vectors = self._vectors.opened(about["generation"], about["rows"])
            if vectors is not None:
                return Snapshot(about["generation"], about["change"], vectors)
        raise IndexFolderError(f"{self._vectors.file(about['generation'])} is missing: make the index anew")

    def items_at(self, rows: Iterable[int], snapshot: Snapshot) -> list[Item | None] | None:
        """The items of the rows of a snapshot, None for one that is removed; None: the rows have other numbers now."""
        with self._lock, transaction(self._db, "BEGIN"):
            if self._value("generation") != snapshot.generation:
                return None
            rows = [int(row) for row in rows]
            there = {item.row: item for item in self._several("row", rows)}
            return [there.get(row) for row in rows]

    def item(self, number: int) -> Item | None:
        """The item of that id."""
        with self._lock:
            return self._one("id", number)

    def items(self, ids: Iterable[int]) -> list[Item | None]:
        """The items of those ids, None for one that is none."""
        with self._lock, transaction(self._db, "BEGIN"):
            ids = [int(number) for number in ids]
            there = {item.id: item for item in self._several("id", ids)}
            return [there.get(number) for number in ids]

    def every_item(self) -> list[Item]:
        """All of them, by their rows."""
        with self._lock:
            return [item_of_row(row) for row in self._db.execute(f"SELECT {COLUMNS} FROM items ORDER BY row")]

    def has_digest(self, digest: bytes) -> bool:
        """Whether a file of that SHA-256 is an item."""
        with self._lock:
            return self._one("digest", digest) is not None

    def rows_and_ids(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows of all items and their ids, (N,) int64 each, by row."""
        with self._lock:
            found = self._db.execute("SELECT row, id FROM items ORDER BY row").fetchall()
        table = np.array(found, dtype=np.int64).reshape(-1, 2)
        return table[:, 0], table[:, 1]

    def labels(self) -> dict[str, int]:
        """Label → its number of items, by name."""
        query = "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY label ORDER BY label"
        with self._lock:
            return dict(self._db.execute(query))

    def ids_of(self, label: str, *, first: int = 0, most: int = -1) -> list[int]:
        """Ids of the items of a label, by id, from the ``first`` on at ``most`` so many; −1: all."""
        query = "SELECT id FROM items WHERE label = ? ORDER BY id LIMIT ? OFFSET ?"
        with self._lock:
            return [number for (number,) in self._db.execute(query, (label, most, first))]

    def thumbnail(self, number: int) -> bytes | None:
        """JPEG of the item of that id; None: there is no such item, or its JPEG is lost."""
        query = "SELECT thumbnail_start, thumbnail_size FROM items WHERE id = ?"
        for _ in range(_TRIES):
            with self._lock, transaction(self._db, "BEGIN"):
                found = self._db.execute(query, (number,)).fetchone()
                generation = self._value("generation")
            if found is None:
                return None
            jpeg = self._thumbnails.read(generation, *found)
            if jpeg is not None:
                return jpeg
        return None

    def item_of(self, path: str) -> Item | None:
        """The item of the file at that path, absolute."""
        with self._lock:
            return self._one("path", os.fsencode(path))

    def faults(self) -> list[str]:
        """What is damaged in the folder, in words; reads all of it."""
        kept = "SELECT row, checksum, thumbnail_start + thumbnail_size FROM items ORDER BY row"
        with self._lock, transaction(self._db, "BEGIN"):
            said = [text for (text,) in self._db.execute("PRAGMA integrity_check") if text != "ok"]
            items = self._db.execute(kept).fetchall()
            vectors, jpegs = self.snapshot().vectors, self._thumbnails.size(self._value("generation"))
        wrong = sum(row >= len(vectors) or zlib.crc32(vectors[row]) != checksum for row, checksum, _ in items)
        without = sum(end > jpegs for *_, end in items)
        if wrong:
            said.append(f"{wrong:,} embeddings are not those that were written")
        if without:
            said.append(f"{without:,} items have no thumbnail")
        return said

    # Within

    def _value(self, key: str) -> int:
        return json.loads(self._db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()[0])

    def _one(self, column: str, value: Any) -> Item | None:
        found = self._db.execute(f"SELECT {COLUMNS} FROM items WHERE {column} = ?", (value,)).fetchone()
        return None if found is None else item_of_row(found)

    def _several(self, column: str, values: Sequence[Any]) -> list[Item]:
        """Those that there are, in any order."""
        found = []
        for start in range(0, len(values), _ASKED):
            part = values[start : start + _ASKED]
            query = f"SELECT {COLUMNS} FROM items WHERE {column} IN ({', '.join('?' * len(part))})"
            found += map(item_of_row, self._db.execute(query, part))
        return found
