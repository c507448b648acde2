"""Which images are the same image: one file listed twice, or files of equal content under several names."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np

from dml.data.records import ImageRecords, PixelRecords
from dml.data.run_split.table import SplitData

_THREADS = 8  # they wait for the disk
_HEAD = 2**12  # bytes that tell most files of equal size apart
_PIECE = 2**20  # bytes read at a time
_FILES = 512  # that a thread looks at before it takes others; a task for each costs more than the look
_known: WeakKeyDictionary[SplitData, dict[str, np.ndarray]] = WeakKeyDictionary()


def same_image_in(data: SplitData) -> dict[str, np.ndarray]:
    """``same_image`` of all ``data.parts``, by their names. The files are looked at once for ``data``, whoever asks."""
    if data not in _known:
        parts = data.parts
        _known[data] = dict(zip(parts, same_image(*parts.values()), strict=True))
    return _known[data]


def same_image(*parts: ImageRecords) -> list[np.ndarray]:
    """For each of ``parts`` (N,) int64: images of equal content, byte for byte, have the same number, in all of them.

    Files are told apart by their sizes first, those of equal size by their first bytes, and only those that share these
    too are read to their ends. A file that is not there is like no other. Grows with the number of images, and with the
    bytes of those that are alike so far.
    """
    paths = {os.path.realpath(path) for records in parts if not _in_memory(records) for path in records.paths}
    keys = _content_keys(sorted(paths))
    numbers: dict[Hashable, int] = {}
    return [
        np.array([numbers.setdefault(key, len(numbers)) for key in _keys_of(records, keys)], dtype=np.int64)
        for records in parts
    ]


def _in_memory(records: ImageRecords) -> bool:
    return isinstance(records, PixelRecords)


def _keys_of(records: ImageRecords, keys: dict[str, Hashable]) -> list[Hashable]:
    if isinstance(records, PixelRecords):
        return [hashlib.sha256(image).digest() for image in records.pixels]
    return [keys[os.path.realpath(path)] for path in records.paths]


def _content_keys(paths: Sequence[str]) -> dict[str, Hashable]:
    """Path → something equal exactly for files of equal content."""
    with ThreadPoolExecutor(_THREADS) as pool:
        keys: dict[str, Hashable] = dict(zip(paths, _look_at_all(pool, _size_of, paths), strict=True))
        for look in (_head_of, _digest_of):
            shared = Counter(keys.values())
            alike = [path for path in paths if shared[keys[path]] > 1]
            seen = list(_look_at_all(pool, look, alike))
            keys.update((path, (keys[path], found)) for path, found in zip(alike, seen, strict=True))
    return keys


def _look_at_all(pool: ThreadPoolExecutor, look: Callable[[str], Hashable], paths: Sequence[str]) -> Iterator[Hashable]:
    size = max(1, min(_FILES, len(paths) // _THREADS))  # every thread gets some of few large files
    pieces = [paths[start : start + size] for start in range(0, len(paths), size)]
    for found in pool.map(lambda piece: [look(path) for path in piece], pieces):
        yield from found


def _size_of(path: str) -> Hashable:
    """Bytes of a file; its path if it is not there, which is like no other."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 (a third of the time of a Path)
    except OSError:
        return path


def _head_of(path: str) -> Hashable:
    try:
        with Path(path).open("rb") as file:
            return file.read(_HEAD)
    except OSError:
        return path


def _digest_of(path: str) -> Hashable:
    try:
        with Path(path).open("rb") as file:
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
            return digest.digest()
    except OSError:
        return path
