"""Engines find what exact search finds, as the index grows and shrinks and whoever changes it."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from dml.errors import UserError
from dml.search.engines import EngineSettings, open_engine, settled
from dml.search.finder import Finder
from dml.search.items import NewItem
from dml.search.store import Store
from entrypoints import ROOT

D = 12
ENGINES = {
    "hnsw": ("faiss", EngineSettings("faiss", "hnsw")),
    "ivf": ("faiss", EngineSettings("faiss", "ivf")),
    "milvus": ("milvus_lite", EngineSettings("milvus", None, "lite.db")),
}


@pytest.fixture(params=ENGINES)
def settings(request, tmp_path) -> EngineSettings:
    package, settings = ENGINES[request.param]
    pytest.importorskip(package)
    if settings.uri is not None:
        settings = EngineSettings("milvus", None, str(tmp_path / settings.uri))
    return settled(settings)


def vectors(number: int, seed: int = 0) -> np.ndarray:
    """Around a few centres, as embeddings of products are, and of any length."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(20, D))
    return (centres[rng.integers(0, 20, number)] + 0.4 * rng.normal(size=(number, D))).astype(np.float32)


def add(store: Store, first: int, content: np.ndarray) -> tuple[int, ...]:
    numbers = range(first, first + len(content))
    items = [NewItem(f"/nowhere/{n}.jpg", "a", n, n, sha256(b"%d" % n).digest(), b"x") for n in numbers]
    return store.add(items, content).ids


def agreement(finder: Finder, exact: Finder, query: torch.Tensor, k: int = 10) -> float:
    """What share of the k nearest items is found; values and order must be those of exact search."""
    hits = 0
    pairs = zip(finder.nearest(query, k), exact.nearest(query, k), strict=True)
    for (found, values), (right, expected) in pairs:
        assert (values.diff() <= 0).all() if finder.distance == "cosine" else (values.diff() >= 0).all()
        value_of = dict(zip((item.id for item in right), expected.tolist(), strict=True))
        same = [number for number, item in enumerate(found) if item.id in value_of]
        for number in same:
            assert values[number].item() == pytest.approx(value_of[found[number].id], abs=1e-5)
        hits += len(same)
    return hits / (k * len(query))


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_as_exact_search_while_the_index_changes(settings, distance, tmp_path):
    store = Store.create(tmp_path / "x.index", dimensions=D, about={"engine_change": -1})
    finder, exact = Finder(store, settings, distance=distance), Finder(store, EngineSettings(), distance=distance)
    query = torch.from_numpy(vectors(20, seed=5))
    ids = add(store, 0, vectors(600))
    assert agreement(finder, exact, query) >= 0.95
    assert finder.recall() >= 0.95
    add(store, 600, vectors(200, seed=1))
    assert agreement(finder, exact, query) >= 0.95
    store.remove(ids[::7])  # dead rows
    assert agreement(finder, exact, query) >= 0.95
    finder.close()
    store.remove(ids[1:400])  # rows under new numbers
    again = Finder(Store(store.folder), settings, distance=distance)
    assert agreement(again, exact, query) >= 0.95
    late = add(store, 900, query.numpy()[:1] * 1.0)
    (items, _), *_ = again.nearest(query[:1], 1)
    assert items[0].id == late[0]
    again.close()


def test_what_an_engine_missed_it_catches_up_with(settings, tmp_path):
    """A process that was killed between the index and its engine."""
    store = Store.create(tmp_path / "x.index", dimensions=D, about={"engine_change": -1})
    finder = Finder(store, settings, distance="cosine")
    ids = np.array(add(store, 0, vectors(50)))
    assert np.array_equal(np.sort(finder.catch_up().ids()), ids)
    finder.close()
    engine = open_engine(settings, store.folder, dimensions=D, distance="cosine")
    engine.remove(ids[:10])
    engine.add(np.array([1_000]), vectors(1))
    assert np.array_equal(np.sort(engine.ids()), [*ids[10:], 1_000])
    engine.close()
    store.tell(engine_change=-1)
    assert np.array_equal(np.sort(finder.catch_up().ids()), ids)
    finder.close()


def test_an_index_of_one(settings, tmp_path):
    store = Store.create(tmp_path / "x.index", dimensions=D, about={"engine_change": -1})
    finder = Finder(store, settings, distance="cosine")
    with pytest.raises(UserError, match="holds no photograph yet"):
        finder.nearest(torch.ones(1, D), 3)
    add(store, 0, vectors(1))
    assert [len(items) for items, _ in finder.nearest(torch.ones(2, D), 3)] == [1, 1]
    finder.close()


def test_faiss_as_other_libraries_change_it():
    """faiss.contrib.torch_utils, which pytorch-metric-learning imports, replaces methods of every index."""
    pytest.importorskip("faiss")
    program = (
        "import faiss.contrib.torch_utils, sys, pytest;"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {__file__!r}, '-k', 'index_of_one']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stdout


def test_damage_of_faiss_file(tmp_path):
    pytest.importorskip("faiss")
    (tmp_path / "faiss.index").write_bytes(b"no index")
    with pytest.raises(UserError, match=r"faiss\.index is damaged: delete it, it is made again"):
        open_engine(EngineSettings("faiss"), tmp_path, dimensions=D, distance="cosine")


def test_what_milvus_refuses(tmp_path):
    pytest.importorskip("pymilvus")
    for uri, told in (("shop.index", r"ends in \.db"), ("http://127.0.0.1:9", r"--uri http://127.0.0.1:9")):
        with pytest.raises(UserError, match=told):
            open_engine(EngineSettings("milvus", None, uri, "a"), Path(), dimensions=D, distance="cosine")


def test_settings_are_completed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, other = (settled(EngineSettings("milvus", None, "shop.db")) for _ in range(2))
    assert one.uri == str(tmp_path / "shop.db")
    assert one.collection != other.collection
    assert settled(EngineSettings("milvus", None, "http://host:19530", "shop")).uri == "http://host:19530"
    assert settled(EngineSettings("faiss")).kind == "hnsw"
