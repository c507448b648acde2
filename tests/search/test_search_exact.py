"""Exact search in mapped embeddings finds what nearest_neighbours finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dml.neighbours import ItemSets, nearest_neighbours
from dml.search import exact
from dml.search.exact import ExactSearch


def mapped(folder, vectors: torch.Tensor) -> np.ndarray:
    vectors.numpy().tofile(folder / "vectors.f32")
    return np.memmap(folder / "vectors.f32", np.float32, "c", shape=tuple(vectors.shape))


@pytest.fixture
def vectors() -> torch.Tensor:
    torch.manual_seed(0)
    vectors = torch.randn(500, 16) * torch.rand(500, 1) * 5
    vectors[100:140] = vectors[7]  # ties
    return vectors


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("shift", [0.0, 1000.0])  # far from the origin float32 scores say nothing
@pytest.mark.parametrize("num_queries", [1, 5, 40])
def test_as_nearest_neighbours(tmp_path, monkeypatch, vectors, distance, shift, num_queries):
    monkeypatch.setattr(exact, "_CHUNK_BYTES", 64 * 64)  # several chunks
    monkeypatch.setattr(exact, "_NORM_BYTES", 64 * 100)
    vectors = vectors + shift
    search = ExactSearch(mapped(tmp_path, vectors), np.arange(500), distance=distance)
    query = torch.cat([vectors[7:8], torch.randn(num_queries - 1, 16) + shift])
    for k in (1, 10, 60, 490, 500):
        rows, values = search.search(query, k)
        right, expected = nearest_neighbours(query, vectors, k, distance=distance)
        assert torch.equal(rows, right)
        torch.testing.assert_close(values, expected)


@pytest.mark.parametrize("num_queries", [1, 40])
def test_dead_rows_are_not_found(tmp_path, vectors, num_queries):
    living = np.setdiff1d(np.arange(500), np.arange(0, 500, 5))
    search = ExactSearch(mapped(tmp_path, vectors), living, distance="cosine")
    assert len(search) == 400
    query = vectors[:num_queries] + 0.1
    rows, values = search.search(query, 12)
    places, expected = nearest_neighbours(query, vectors[living], 12)
    assert torch.equal(rows, torch.from_numpy(living)[places])
    torch.testing.assert_close(values, expected)
    own = torch.from_numpy(living[:num_queries])
    rows, _ = search.search(vectors[own], 3, exclude=ItemSets.one_each(own))
    assert not (rows == own[:, None]).any()
    assert np.isin(rows.numpy(), living).all()


def test_few_rows(tmp_path, vectors):
    search = ExactSearch(mapped(tmp_path, vectors[:3]), np.arange(3), distance="euclidean")
    assert search.search(vectors[1:2], 3)[0][0].tolist()[0] == 1
    assert len(ExactSearch(np.empty((0, 16), np.float32), np.arange(0), distance="cosine")) == 0
