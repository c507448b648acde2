"""The folder of an index: rows of SQLite that are the truth, and the embeddings that they point at.

``items.sqlite`` has the items, their thumbnails and what is to be known of the index; ``VectorFiles`` the embeddings.
Whatever kills a process and whenever:

* embeddings are appended, and forced to the disk, before the transaction that names their rows is committed. What a
  killed process left behind the last committed row belongs to nobody, and the next one writes over it;
* a committed row is never written again, so that who searches may keep the file mapped. What is removed leaves a dead
  row behind; when these are many, the living ones are copied into a file of the next generation G;
* who writes holds SQLite's lock for writers, which ends with its process. Others wait.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dml.errors import UserError
from dml.search.database import COLUMNS, SCHEMA, connect, item_of_row, tell, transaction
from dml.search.growth import Added, Plan
from dml.search.items import Item, NewItem
from dml.search.vectors import VECTOR, IndexFolderError, VectorFiles, sync_folder
from dml.writing import naming

FORMAT = "dml-index-1"
DATABASE = "items.sqlite"
MOST_DEAD = 0.25  # of the rows, before the living ones are copied
_ASKED = 500  # items that one query of SQLite names


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


class Store:
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
            raise IndexFolderError(f"{folder}: an index of format {about.get('format')}, this version reads {FORMAT}")
        self.dimensions: int = json.loads(about["dimensions"])
        self._vectors = VectorFiles(folder, self.dimensions)

    @classmethod
    def create(cls, folder: Path, *, dimensions: int, about: dict[str, Any]) -> Store:
        """An empty index, in a ``folder`` that must not be there; at any moment all of it is, or nothing.

        Args:
            dimensions: D.
            about: what is to be known of it, as JSON has it.

        Raises:
            UserError: there is something of that name.
        """
        if folder.exists():
            raise UserError(f"{folder} is there already: name another folder, or `add` to the index that it is")
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
        try:
            with naming(folder):
                temporary.mkdir(parents=True)
                VectorFiles(temporary, dimensions).file(0).touch()
                db = connect(temporary / DATABASE)
                db.executescript(SCHEMA)
                known = {"format": FORMAT, "dimensions": dimensions, "generation": 0, "rows": 0, "change": 0} | about
                with transaction(db):
                    tell(db, known)
                db.close()
                sync_folder(temporary)
                temporary.rename(folder)
                sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(folder)

    def close(self) -> None:
        """Let go of the files."""
        self._db.close()

    # What is to be known

    def about(self) -> dict[str, Any]:
        """Everything that is kept beside the items."""
        with self._lock:
            return {key: json.loads(value) for key, value in self._db.execute("SELECT key, value FROM about")}

    def tell(self, **values: Any) -> None:
        """Keep these, as JSON has them, in place of what was kept by their names."""
        with self._writing():
            tell(self._db, values)

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
        for _ in range(10):  # another process may begin a generation in between
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
        """JPEG of the item of that id."""
        with self._lock:
            found = self._db.execute("SELECT jpeg FROM thumbnails WHERE item = ?", (number,)).fetchone()
        return None if found is None else found[0]

    def item_of(self, path: str) -> Item | None:
        """The item of the file at that path, absolute."""
        with self._lock:
            return self._one("path", os.fsencode(path))

    # Writing

    def add(self, items: Sequence[NewItem], vectors: np.ndarray) -> Added:
        """Add photographs, all of them or, if the process dies, none.

        One whose bytes are those of an item is none of its own: it is counted as a copy, or if that item's file is gone
        or changed, it has moved here. A file whose bytes are others than they were takes the place of its item.

        Args:
            vectors: (n, D) float32, an embedding each.

        Raises:
            OSError: naming the file that cannot be written.
        """
        vectors = np.ascontiguousarray(vectors, VECTOR)
        if vectors.shape != (len(items), self.dimensions):
            raise ValueError(f"{len(items)} items need ({len(items)}, {self.dimensions}) embeddings: {vectors.shape}")
        with self._writing() as db:
            plan = Plan(self._next_id(), self._value("rows"))
            by_digest = {item.digest: item for item in self._several("digest", [item.digest for item in items])}
            by_path = {item.path: item for item in self._several("path", [os.fsencode(item.path) for item in items])}
            for place, item in enumerate(items):
                plan.take(place, item, by_digest, by_path)
            self._remove(plan.removed)
            told = "UPDATE items SET path = ?, label = ?, size = ?, time = ? WHERE id = ?"
            db.executemany(
                told, [(os.fsencode(new.path), new.label, new.size, new.time, new.id) for new in plan.retold]
            )
            values = [
                (
                    new.id,
                    new.row,
                    os.fsencode(new.path),
                    new.label,
                    new.size,
                    new.time,
                    new.digest,
                    zlib.crc32(vectors[at]),
                )
                for at, new in plan.fresh
            ]
            db.executemany(f"INSERT INTO items ({COLUMNS}, checksum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
            jpegs = [(item.id, items[place].thumbnail) for place, item in plan.fresh]
            db.executemany("INSERT INTO thumbnails VALUES (?, ?)", jpegs)
            fresh = vectors[[place for place, _ in plan.fresh]]
            self._vectors.append(self._value("generation"), plan.first_row, fresh)
            tell(db, {"rows": plan.first_row + len(plan.fresh)})
            if plan.fresh or plan.removed or plan.retold:
                self._has_changed()
        return plan.added()

    def remove(self, ids: Iterable[int]) -> int:
        """Remove items; returns how many there were. Their rows are given free when they are many."""
        with self._writing():
            removed = self._remove(ids)
            if removed:
                self._has_changed()
            dead = self._value("rows") - len(self)
            generation = self._compact() if dead > MOST_DEAD * self._value("rows") else 0
        self._vectors.remove_before(generation)
        return removed

    def faults(self) -> list[str]:
        """What is damaged in the folder, in words; reads all of it."""
        with self._lock:
            said = [text for (text,) in self._db.execute("PRAGMA integrity_check") if text != "ok"]
            checksums = self._db.execute("SELECT row, checksum FROM items ORDER BY row").fetchall()
            without = self._db.execute(
                "SELECT count(*) FROM items WHERE id NOT IN (SELECT item FROM thumbnails)"
            ).fetchone()[0]
        vectors = self.snapshot().vectors
        wrong = sum(row >= len(vectors) or zlib.crc32(vectors[row]) != checksum for row, checksum in checksums)
        if wrong:
            said.append(f"{wrong:,} embeddings are not those that were written")
        if without:
            said.append(f"{without:,} items have no thumbnail")
        return said

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within it no other process changes the index; what is told is kept when it ends."""
        with self._writing():
            yield

    # Within a transaction

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, transaction(self._db, "BEGIN IMMEDIATE"):
                yield self._db
        except sqlite3.OperationalError as error:  # no room on the disk, no right to write, somebody else's long write
            raise IndexFolderError(f"{self.folder / DATABASE} cannot be written to: {error}") from error

    def _remove(self, ids: Iterable[int]) -> int:
        numbers = [(number,) for number in ids]
        self._db.executemany("DELETE FROM thumbnails WHERE item = ?", numbers)
        return max(0, self._db.executemany("DELETE FROM items WHERE id = ?", numbers).rowcount)

    def _next_id(self) -> int:
        """Larger than any that an item ever had."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        return 1 if found is None else found[0] + 1

    def _compact(self) -> int:
        """Copy the living rows into a file of the next generation; returns its number. Older ones may be deleted once
        that is committed."""
        generation = self._value("generation") + 1
        rows, ids = self.rows_and_ids()
        self._vectors.write(generation, self.snapshot().vectors, rows)
        # Upwards: the new number of a row is no larger than its old one, and that of a smaller row is given already.
        self._db.executemany("UPDATE items SET row = ? WHERE id = ?", enumerate(ids.tolist()))
        tell(self._db, {"generation": generation, "rows": len(rows)})
        self._has_changed()
        return generation

    def _has_changed(self) -> None:
        tell(self._db, {"change": self._value("change") + 1})

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
