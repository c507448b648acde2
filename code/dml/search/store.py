"""The folder of an index as it is written to, where at any moment what was committed is there, once.

Whatever kills a process and whenever:

* embeddings and thumbnails are appended to their files, and forced to the disk, before the transaction that names them
  is committed. What a killed process left behind them belongs to nobody, and the next one cuts it off;
* what a committed row names is never written again, so that who searches may keep the files mapped. What is removed
  leaves a dead row behind; when these are many, the living ones are copied into files of the next generation G;
* who writes holds SQLite's lock for writers, which ends with its process. Others wait.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from dml.errors import UserError
from dml.search.database import COLUMNS, SCHEMA, connect, tell, transaction
from dml.search.growing_files import IndexFolderError, sync_folder
from dml.search.growth import Added, Plan
from dml.search.items import NewItem
from dml.search.opened import DATABASE, FORMAT, OpenedIndex
from dml.search.thumbnails import ThumbnailFiles
from dml.search.vectors import VECTOR, VectorFiles
from dml.writing import naming

MOST_DEAD = 0.25  # of the rows, before the living ones are copied
_INSERT = f"INSERT INTO items ({COLUMNS}, checksum, thumbnail_start, thumbnail_size) VALUES ({', '.join('?' * 10)})"


class Store(OpenedIndex):
    """An opened index folder that may be written to; see ``OpenedIndex``."""

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
                for files in (VectorFiles(temporary, dimensions), ThumbnailFiles(temporary)):
                    files.file(0).touch()
                db = connect(temporary / DATABASE)
                db.executescript(SCHEMA)
                known = {"format": FORMAT, "dimensions": dimensions, "generation": 0, "rows": 0, "change": 0}
                known |= {"thumbnail_bytes": 0} | about
                with transaction(db):
                    tell(db, known)
                db.close()
                sync_folder(temporary)
                temporary.rename(folder)
                sync_folder(folder.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(folder)

    def tell(self, **values: Any) -> None:
        """Keep these, as JSON has them, in place of what was kept by their names."""
        with self._writing():
            tell(self._db, values)

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
            if plan.fresh:
                self._insert(plan, items, vectors)
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
        for files in (self._vectors, self._thumbnails):
            files.remove_before(generation)
        return removed

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

    def _insert(self, plan: Plan, items: Sequence[NewItem], vectors: np.ndarray) -> None:
        """The new items of a plan: what they point at into the files, and meanwhile they into the database."""
        places = [place for place, _ in plan.fresh]
        vectors, jpegs = vectors[places], [items[place].thumbnail for place in places]
        generation, used = self._value("generation"), self._value("thumbnail_bytes")
        sizes = list(map(len, jpegs))
        *starts, end = accumulate(sizes, initial=used)
        with ThreadPoolExecutor(2) as disk:
            forced = [
                disk.submit(self._thumbnails.append, generation, used, jpegs),
                disk.submit(self._vectors.append, generation, plan.first_row, vectors),
            ]
            values = [
                (*new[:2], os.fsencode(new.path), *new[3:], checksum, start, size)
                for (_, new), checksum, start, size in zip(
                    plan.fresh, map(zlib.crc32, vectors), starts, sizes, strict=True
                )
            ]
            self._db.executemany(_INSERT, values)
        for one in forced:
            one.result()
        tell(self._db, {"rows": plan.first_row + len(jpegs), "thumbnail_bytes": end})

    def _remove(self, ids: Iterable[int]) -> int:
        numbers = [(number,) for number in ids]
        return max(0, self._db.executemany("DELETE FROM items WHERE id = ?", numbers).rowcount)

    def _next_id(self) -> int:
        """Larger than any that an item ever had."""
        found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        return 1 if found is None else found[0] + 1

    def _compact(self) -> int:
        """Copy what the living rows name into files of the next generation; returns its number. Older ones may be
        deleted once that is committed."""
        before = self._value("generation")
        generation = before + 1
        found = self._db.execute("SELECT row, id, thumbnail_start, thumbnail_size FROM items ORDER BY row").fetchall()
        rows, ids, starts, sizes = np.array(found, dtype=np.int64).reshape(-1, 4).T
        self._vectors.write(generation, self.snapshot().vectors, rows)
        self._thumbnails.write(generation, before, starts, sizes)
        *starts, end = accumulate(sizes.tolist(), initial=0)
        # Upwards: the new number of a row is no larger than its old one, and that of a smaller row is given already.
        told = "UPDATE items SET row = ?, thumbnail_start = ? WHERE id = ?"
        self._db.executemany(told, zip(range(len(ids)), starts, ids.tolist(), strict=True))
        tell(self._db, {"generation": generation, "rows": len(ids), "thumbnail_bytes": end})
        self._has_changed()
        return generation

    def _has_changed(self) -> None:
        tell(self._db, {"change": self._value("change") + 1})
