"""The tables of an index in SQLite."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dml.search.items import Item

PATIENCE = 600.0  # seconds to wait for another process that writes
COLUMNS = "id, row, path, label, size, time, digest"
SCHEMA = """
BEGIN;
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE items (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    row INTEGER NOT NULL UNIQUE,
    path BLOB NOT NULL UNIQUE,
    label TEXT,
    size INTEGER NOT NULL,
    time INTEGER NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    checksum INTEGER NOT NULL,  -- CRC-32 of the embedding
    thumbnail_start INTEGER NOT NULL,  -- bytes
    thumbnail_size INTEGER NOT NULL
);
CREATE INDEX items_by_label ON items (label);
COMMIT;
"""


def connect(file: Path) -> sqlite3.Connection:
    """A connection that forces every transaction to the disk, for any thread that holds the lock of its store."""
    db = sqlite3.connect(file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA journal_mode = PERSIST")  # a file less to make, and to force to the disk, for each transaction
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cache_size = -65536")  # KB: what a transaction changes, or it is forced to the disk in parts
    return db


@contextmanager
def transaction(db: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Within it all changes are one; part of the outer one within another."""
    if db.in_transaction:  # within another one
        yield
        return
    db.execute(begin)
    try:
        yield
    except BaseException:
        db.rollback()
        raise
    db.commit()


def tell(db: sqlite3.Connection, values: dict[str, Any]) -> None:
    """Keep values, as JSON has them, by their names."""
    db.executemany(
        "INSERT OR REPLACE INTO about VALUES (?, ?)", [(key, json.dumps(value)) for key, value in values.items()]
    )


def item_of_row(row: Sequence[Any]) -> Item:
    """Of a row of ``COLUMNS``."""
    number, place, path, label, size, time, digest = row
    return Item(number, place, os.fsdecode(path), label, size, time, digest)
