"""Processes that write to one index, killed at any moment or at the same time, lose nothing and double nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dml.search.store import Store
from entrypoints import ROOT

# Adds photographs FIRST … LAST − 1 in transactions of seven and says each number that is there for good.
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from hashlib import sha256
import numpy as np
from dml.search.items import NewItem
from dml.search.store import Store

folder, first, last = Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
store = Store(folder)
for start in range(first, last, 7):
    numbers = range(start, min(start + 7, last))
    jpeg = {n: b"%d." % n * (n % 900) for n in numbers}
    items = [NewItem(f"{folder}/{n}.jpg", "a", n, n, sha256(b"%d" % n).digest(), jpeg[n]) for n in numbers]
    store.add(items, np.repeat(np.array(numbers, np.float32)[:, None], 64, 1))
    print(numbers[-1], flush=True)
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    Store.create(tmp_path / "x.index", dimensions=64, about={}).close()
    return tmp_path / "x.index"


def writer(folder: Path, first: int, last: int) -> subprocess.Popen:
    words = [sys.executable, "-c", WRITER, ROOT / "code", folder, first, last]
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)


def numbers_in(folder: Path) -> list[int]:
    """Of all items, each with an embedding and a thumbnail that are its own."""
    store = Store(folder)
    assert not store.faults()
    snapshot = store.snapshot()
    items = store.every_item()
    numbers = [int(Path(item.path).stem) for item in items]
    assert np.array_equal(snapshot.vectors[[item.row for item in items]], np.repeat(np.c_[numbers], 64, 1))
    for number, item in zip(numbers, items, strict=True):
        assert store.thumbnail(item.id) == b"%d." % number * (number % 900)
    assert len({item.id for item in items}) == len({item.row for item in items}) == len(items)
    return sorted(numbers)


def test_killed_while_adding(folder):
    rng = random.Random(0)
    for _ in range(6):
        process = writer(folder, 0, 10_000)
        lines = [process.stdout.readline() for _ in range(rng.randrange(1, 30))]
        process.kill()
        lines += process.stdout.readlines()
        process.wait()
        safe = int(lines[-1]) + 1
        numbers = numbers_in(folder)
        assert numbers == list(range(len(numbers)))
        assert len(numbers) >= safe


def test_two_at_a_time(folder):
    processes = [writer(folder, 0, 200), writer(folder, 100, 300)]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert numbers_in(folder) == list(range(300))
