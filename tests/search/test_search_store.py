"""The folder of an index keeps what was committed, once, whatever happens meanwhile."""

from __future__ import annotations

import os
import sqlite3
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from dml.errors import UserError
from dml.search.items import CHANGED, GONE, PRESENT, NewItem, state_of
from dml.search.store import DATABASE, Store

D = 4


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.create(tmp_path / "x.index", dimensions=D, about={"colour": "red"})


def new(folder: Path, number: int, label: str | None = "a", content: str | None = None) -> NewItem:
    """An item whose file is there."""
    path = folder / f"{number}.jpg"
    path.write_text(content or f"photograph {number}")
    stat = path.stat()
    digest = sha256(path.read_bytes()).digest()
    return NewItem(str(path), label, stat.st_size, stat.st_mtime_ns, digest, jpeg(number))


def jpeg(number: int) -> bytes:
    """A thumbnail, each of another length."""
    return b"%d." % number * number


def vectors(*numbers: int) -> np.ndarray:
    return np.repeat(np.array(numbers, dtype=np.float32)[:, None], D, axis=1)


def content(store: Store) -> dict[str, float]:
    """Name of each item → the number in its embedding; each has the thumbnail of its name."""
    snapshot = store.snapshot()
    for item in store.every_item():
        assert store.thumbnail(item.id) == jpeg(int(Path(item.name).stem))
    return {item.name: float(snapshot.vectors[item.row, 0]) for item in store.every_item()}


def test_what_is_added_is_there(store, tmp_path):
    added = store.add([new(tmp_path, 1), new(tmp_path, 2, None)], vectors(1, 2))
    assert len(added.ids) == len(store) == 2
    again = Store(store.folder)
    assert again.about()["colour"] == "red"
    assert content(again) == {"1.jpg": 1, "2.jpg": 2}
    assert again.labels() == {"a": 1}
    assert again.ids_of("a") == [added.ids[0]]
    assert again.thumbnail(added.ids[1]) == b"2.2."
    assert again.item(added.ids[1]).label is None
    assert not again.faults()


def test_the_same_photograph_is_one_item(store, tmp_path):
    one = new(tmp_path, 1)
    store.add([one, one], vectors(1, 1))
    copy = new(tmp_path, 7, content="photograph 1")
    added = store.add([one, copy], vectors(9, 9))
    assert (added.ids, added.known, added.copies) == ((), 1, 1)
    assert content(store) == {"1.jpg": 1}


def test_a_photograph_that_moved_keeps_its_number(store, tmp_path):
    (number,) = store.add([new(tmp_path, 1)], vectors(1)).ids
    (tmp_path / "1.jpg").unlink()
    moved = store.add([new(tmp_path, 5, "b", content="photograph 1")], vectors(1))
    assert (moved.known, len(store)) == (1, 1)
    assert (store.item(number).name, store.item(number).label) == ("5.jpg", "b")
    assert store.thumbnail(number) == jpeg(1)


def test_a_changed_file_takes_the_place_of_its_item(store, tmp_path):
    (number,) = store.add([new(tmp_path, 1)], vectors(1)).ids
    added = store.add([new(tmp_path, 1, content="another")], vectors(3))
    assert (len(added.ids), added.replaced) == (1, 1)
    assert added.ids[0] > number
    assert content(store) == {"1.jpg": 3}
    assert store.thumbnail(number) is None


def test_files_that_were_exchanged(store, tmp_path):
    store.add([new(tmp_path, 1), new(tmp_path, 2)], vectors(1, 2))
    swapped = [new(tmp_path, 1, content="photograph 2"), new(tmp_path, 2, content="photograph 1")]
    store.add(swapped, vectors(2, 1))
    snapshot = store.snapshot()
    found = {item.name: snapshot.vectors[item.row, 0] for item in store.every_item()}
    assert found == {"1.jpg": 2, "2.jpg": 1}
    assert not store.faults()
    assert {state_of(item) for item in store.every_item()} == {PRESENT}


def test_states_of_a_file(store, tmp_path):
    store.add([new(tmp_path, 1)], vectors(1))
    (item,) = store.every_item()
    path = Path(item.path)
    assert state_of(item) == PRESENT
    os.utime(path, (1, 1))  # as a copy of the folder has it
    assert state_of(item) == PRESENT
    path.write_text("photograph 2")
    assert state_of(item) == CHANGED
    path.unlink()
    assert state_of(item) == GONE


def test_what_a_killed_process_left_behind_the_last_row_counts_for_nothing(store, tmp_path):
    store.add([new(tmp_path, 1)], vectors(1))
    for name in ("embeddings.0.f32", "thumbnails.0.jpegs"):
        with (store.folder / name).open("ab") as file:
            file.write(b"half a ro")
    assert content(Store(store.folder)) == {"1.jpg": 1}
    store.add([new(tmp_path, 2)], vectors(2))
    assert content(store) == {"1.jpg": 1, "2.jpg": 2}
    assert not store.faults()
    assert (store.folder / "thumbnails.0.jpegs").read_bytes() == jpeg(1) + jpeg(2)


def test_an_error_while_adding_adds_nothing(store, tmp_path):
    item = new(tmp_path, 1)
    broken = NewItem(item.path, item.label, None, item.time, b"other", b"jpeg")  # no size: refused by SQLite
    with pytest.raises(sqlite3.IntegrityError):
        store.add([new(tmp_path, 2), broken], vectors(1, 2))
    assert len(store) == 0
    store.add([item], vectors(5))
    assert content(store) == {"1.jpg": 5}


def test_removing_leaves_no_trace_and_frees_the_rows(store, tmp_path):
    ids = store.add([new(tmp_path, number) for number in range(8)], vectors(*range(8))).ids
    seen = store.snapshot()
    assert store.remove([ids[3], 999]) == 1
    assert (len(store), store.about()["rows"], store.about()["generation"]) == (7, 8, 0)
    assert store.items_at([3, 4], seen) == [None, store.item(ids[4])]
    assert store.remove([ids[0], ids[7]]) == 2
    assert (store.about()["rows"], store.about()["generation"]) == (5, 1)
    assert content(store) == {f"{number}.jpg": number for number in (1, 2, 4, 5, 6)}
    assert [store.item(number).row for number in (ids[1], ids[6])] == [0, 4]
    assert store.items_at([1], seen) is None  # numbers of before
    assert seen.vectors[4, 0] == 4  # still mapped
    assert {path.name for path in store.folder.glob("*.*.*")} == {"embeddings.1.f32", "thumbnails.1.jpegs"}
    assert (store.folder / "thumbnails.1.jpegs").read_bytes() == b"".join(jpeg(number) for number in (1, 2, 4, 5, 6))
    assert not store.faults()
    (late,) = store.add([new(tmp_path, 9)], vectors(9)).ids
    assert late > ids[7]


def test_two_opened_stores_see_each_other(store, tmp_path):
    other = Store(store.folder)
    before = other.change()
    store.add([new(tmp_path, 1)], vectors(1))
    other.add([new(tmp_path, 1), new(tmp_path, 2)], vectors(7, 2))
    assert content(store) == {"1.jpg": 1, "2.jpg": 2}
    assert other.change() == before + 2


def test_damage_is_told(store, tmp_path):
    store.add([new(tmp_path, 1), new(tmp_path, 2)], vectors(1, 2))
    file = store.folder / "embeddings.0.f32"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    assert store.faults() == ["1 embeddings are not those that were written"]
    file.write_bytes(raw[:-4])
    with pytest.raises(UserError, match=r"embeddings.0.f32 has 28 bytes of 32: it is damaged"):
        store.snapshot()
    file.unlink()
    with pytest.raises(UserError, match="is missing"):
        store.snapshot()


def test_lost_thumbnails_are_told(store, tmp_path):
    first, second = store.add([new(tmp_path, 1), new(tmp_path, 2)], vectors(1, 2)).ids
    file = store.folder / "thumbnails.0.jpegs"
    file.write_bytes(file.read_bytes()[:-1])
    assert store.faults() == ["1 items have no thumbnail"]
    assert (store.thumbnail(first), store.thumbnail(second)) == (jpeg(1), None)
    with pytest.raises(UserError, match=r"thumbnails.0.jpegs has 5 bytes of 6: it is damaged"):
        store.add([new(tmp_path, 3)], vectors(3))
    file.unlink()
    assert store.faults() == ["2 items have no thumbnail"]
    assert len(store) == 2


def test_what_is_no_index(tmp_path, store):
    with pytest.raises(UserError, match=r"nowhere does not exist: `python code/search\.py index` makes one"):
        Store(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no index"):
        Store(tmp_path)
    with pytest.raises(UserError, match=r"x\.index is there already"):
        Store.create(store.folder, dimensions=D, about={})
    store.tell(format="dml-index-9")
    with pytest.raises(UserError, match='format "dml-index-9", this version reads dml-index-2: make it anew'):
        Store(store.folder)
    (store.folder / DATABASE).write_text("a web page, say, that was saved in its place")
    with pytest.raises(UserError, match="is damaged, or no index"):
        Store(store.folder)


def test_names_that_are_no_text(store, tmp_path):
    path = os.fsdecode(os.fsencode(str(tmp_path)) + b"/\xff.jpg")
    store.add([NewItem(path, "a", 1, 1, b"x", b"jpeg")], vectors(1))
    assert store.item_of(path).path == path
