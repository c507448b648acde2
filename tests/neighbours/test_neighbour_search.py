"""Exact nearest neighbours: order, ties, leaving out, bounded blocks, bad input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dml.neighbours import ItemSets, nearest_neighbours, search


def brute_force(query, gallery, distance, exclude=None):
    """Gallery order (Q, N) of every query in float64; equal ones by lower index; the query itself last."""
    query, gallery = query.double().numpy(), gallery.double().numpy()
    if distance == "cosine":
        query, gallery = (v / np.sqrt((v**2).sum(1, keepdims=True) + 1e-12) for v in (query, gallery))
        key = -(query[:, None] * gallery[None]).sum(2)
    else:
        key = ((query[:, None] - gallery[None]) ** 2).sum(2)
    if exclude is not None:
        key[np.arange(len(query)), exclude.numpy()] = np.inf
    return torch.from_numpy(np.argsort(key, axis=1, kind="stable")), torch.from_numpy(key)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("chunk_size", [None, 1, 7, 1000])
def test_equals_brute_force(distance, chunk_size):
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.randn(50, 12, generator=generator), torch.randn(130, 12, generator=generator)
    order, key = brute_force(query, gallery, distance)
    indices, values = nearest_neighbours(query, gallery, 20, distance=distance, chunk_size=chunk_size)
    assert indices.dtype == torch.int64
    assert torch.equal(indices, order[:, :20])
    expected = key.gather(1, order[:, :20])
    expected = -expected if distance == "cosine" else expected.sqrt()
    torch.testing.assert_close(values, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_copies_tie_by_lower_index(distance):
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(17, 33, generator=generator)
    embeddings = rows[torch.randint(17, (200,), generator=generator)]
    exclude = torch.arange(200)
    order = brute_force(embeddings, embeddings, distance, exclude)[0]
    for chunk_size in (3, 64, None):
        options = {"distance": distance, "exclude": exclude, "chunk_size": chunk_size}
        indices, _ = nearest_neighbours(embeddings, embeddings, 60, **options)
        assert torch.equal(indices, order[:, :60])


def test_all_rows_equal():
    embeddings = torch.full((40, 8), 3.0)
    for distance in ("cosine", "euclidean"):
        indices, _ = nearest_neighbours(embeddings, embeddings, 3, distance=distance, exclude=torch.arange(40))
        assert indices[0].tolist() == [1, 2, 3]
        assert indices[2].tolist() == [0, 1, 3]
        assert indices[39].tolist() == [0, 1, 2]


def test_far_from_the_origin():
    """A common offset of 1e4 leaves the float32 expansion of the distance no digits."""
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(300, 16, generator=generator) + 1e4
    exclude = torch.arange(300)
    order = brute_force(embeddings, embeddings, "euclidean", exclude)[0]
    indices, _ = nearest_neighbours(embeddings, embeddings, 299, distance="euclidean", exclude=exclude)
    assert torch.equal(indices, order[:, :299])


# Sets of 600 rows, and of how many rows the two products leave the 5 nearest neighbours undecided.
UNDECIDED = {
    "random": ([0], [0]),
    "some copies": ([0], [0]),
    "many copies": (range(601), range(601)),
    "collapsed": ([600], [600]),
    "nearly collapsed": (range(601), [0]),
    "far from the origin": (range(601), range(601)),
    "norms from 1e-3 to 1e3": (range(601), range(601)),
}


def rows_of(kind):
    generator = torch.Generator().manual_seed(8)
    rows = torch.randn(600, 48, generator=generator)
    pick = torch.rand(600, generator=generator)
    return {
        "random": rows,
        "some copies": rows[(pick * 200).long()],
        "many copies": rows[(pick * 10).long()],
        "collapsed": torch.full_like(rows, 3.0),
        "nearly collapsed": 1.0 + 1e-3 * rows,
        "far from the origin": rows + 1e4,
        "norms from 1e-3 to 1e3": rows * torch.logspace(-3, 3, 600)[:, None],
    }[kind]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("leave_out_self", [False, True])
@pytest.mark.parametrize("kind", UNDECIDED)
def test_products_change_nothing(kind, leave_out_self, distance, monkeypatch):
    embeddings = rows_of(kind)
    options = {"distance": distance, "exclude": torch.arange(600) if leave_out_self else None}
    passes = []
    search_by_product = search._search

    def counting(scores, rows, dtype, *rest):
        undecided = search_by_product(scores, rows, dtype, *rest)
        passes.append(len(undecided))
        return undecided

    monkeypatch.setattr(search, "_search", counting)
    got = nearest_neighbours(embeddings, embeddings, 5, **options)
    monkeypatch.setattr(search, "_search", lambda _, rows, *rest: rows)  # whole rows alone
    expected = nearest_neighbours(embeddings, embeddings, 5, **options)
    assert torch.equal(got[0], expected[0])
    assert torch.equal(got[1], expected[1])
    for num, allowed in zip(passes, UNDECIDED[kind], strict=True):
        assert num in allowed


@pytest.mark.parametrize("size", [1, 2, 33])
def test_every_k_of_small_galleries(size):
    embeddings = torch.randn(size, 4, generator=torch.Generator().manual_seed(9))
    order = brute_force(embeddings, embeddings, "euclidean")[0]
    for k in range(1, size + 1):
        assert torch.equal(nearest_neighbours(embeddings, embeddings, k, distance="euclidean")[0], order[:, :k])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [3, 30])
def test_small_tiles_change_nothing(distance, k, monkeypatch):
    generator = torch.Generator().manual_seed(3)
    query, gallery = torch.randn(9, 6, generator=generator), torch.randn(101, 6, generator=generator)
    expected = nearest_neighbours(query, gallery, k, distance=distance)
    monkeypatch.setattr("dml.neighbours.scores._TILE_BYTES", 6 * 8 * 10)
    monkeypatch.setattr("dml.neighbours.scores._CACHE_BYTES", 0)
    for name in ("scores._PAIRS_BYTES", "search._BLOCK_BYTES", "search._EXACT_BYTES", "blocks._FEWEST"):
        monkeypatch.setattr(f"dml.neighbours.{name}", 1)
    indices, values = nearest_neighbours(query, gallery, k, distance=distance)
    assert torch.equal(indices, expected[0])
    assert torch.equal(values, expected[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes(dtype):
    embeddings = torch.randn(40, 8, generator=torch.Generator().manual_seed(6)).to(dtype)
    order = brute_force(embeddings, embeddings, "euclidean")[0]
    for k in (1, 5):
        indices, values = nearest_neighbours(embeddings, embeddings, k, distance="euclidean")
        assert torch.equal(indices, order[:, :k])
        assert values.dtype == torch.float32


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [3, 60, 150])
def test_sets_are_left_out(k, distance):
    generator = torch.Generator().manual_seed(10)
    embeddings = torch.randn(150, 24, generator=generator)
    groups = torch.randint(40, (150,), generator=generator)
    groups[:140:2] = 0  # more than half of them, so that lists are short
    order = brute_force(embeddings, embeddings, distance)[0]
    seen = groups[:, None] != groups
    for chunk_size in (None, 31):
        options = {"distance": distance, "exclude": ItemSets.of_same_group(groups, groups), "chunk_size": chunk_size}
        indices, values = nearest_neighbours(embeddings, embeddings, k, **options)
        assert torch.equal(values.isfinite(), seen.gather(1, indices))
        for i in range(150):
            expected = order[i][seen[i][order[i]]][:k]
            assert torch.equal(indices[i][: len(expected)], expected)
    empty = ItemSets.of_same_group(groups, groups + 1000)
    expected = nearest_neighbours(embeddings, embeddings, 5, distance=distance)
    assert torch.equal(nearest_neighbours(embeddings, embeddings, 5, distance=distance, exclude=empty)[0], expected[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0; the gallery offers 1 to 5"),
        ({"k": 6}, "k is 6"),
        ({"k": 5, "exclude": torch.arange(4)}, "offers 1 to 4"),
        ({"distance": "dot"}, "unknown distance 'dot'. Valid: cosine, euclidean"),
        ({"gallery": torch.zeros(5, 4)}, "query has 3 dimensions, gallery 4"),
        ({"query": torch.zeros(4)}, r"query embeddings must be a non-empty \(rows, dimensions\)"),
        ({"query": torch.zeros(0, 3)}, "non-empty"),
        ({"query": torch.zeros(4, 3, dtype=torch.int64)}, "floating point"),
        ({"gallery": torch.full((5, 3), float("nan"))}, "5 of 5 gallery embeddings hold NaN or infinite"),
        ({"exclude": torch.arange(3)}, r"exclude must be \(4,\) int64"),
        ({"exclude": torch.full((4,), 5)}, "exclude must hold indices from 0 to 4"),
        ({"exclude": ItemSets.one_each(torch.arange(3))}, "a set for each of 4 queries; got 3"),
    ],
)
def test_bad_input(change, message):
    given = {"query": torch.zeros(4, 3), "gallery": torch.zeros(5, 3), "k": 2} | change
    query, gallery, k = given.pop("query"), given.pop("gallery"), given.pop("k")
    with pytest.raises(ValueError, match=message):
        nearest_neighbours(query, gallery, k, **given)


@pytest.mark.gpu
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("k", [5, 20])
def test_gpu_equals_cpu(k, distance):
    generator = torch.Generator().manual_seed(7)
    embeddings = torch.randn(100, 24, generator=generator)[torch.randint(100, (300,), generator=generator)]
    options = {"distance": distance, "exclude": torch.arange(300)}
    expected = nearest_neighbours(embeddings, embeddings, k, **options)[0]
    indices, _ = nearest_neighbours(embeddings.cuda(), embeddings, k, **options)
    assert torch.equal(indices.cpu(), expected)
