"""Metrics and lists of neighbours are those of one order, whatever the chunks: random cases against the plain order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dml.evaluation.average_precision import mean_average_precision
from dml.evaluation.retrieval import retrieval_metrics
from dml.neighbours import blocks, nearest_neighbours
from neighbours.plain_order import plain_lists, plain_metrics, plain_scores

KS = (1, 2, 5, 1000)
SEEDS = range(22)  # of 12 kinds and 2 distances: 528 cases


@pytest.fixture(autouse=True)
def one_thread():
    """Small tensors are slower on two, many times so where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def plain_rows(rng, num, dims):
    return rng.standard_normal((num, dims))


def copies(rng, num, dims):
    return plain_rows(rng, max(2, num // 5), dims)[rng.integers(0, max(2, num // 5), num)]


def whole_numbers(rng, num, dims):
    """Many equal distances of rows that differ."""
    return rng.integers(-2, 3, (num, dims))


def one_dimension(rng, num, _):
    return rng.integers(-9, 9, (num, 1)) * rng.choice([1.0, 0.1])


def one_point(rng, num, dims):
    return np.tile(rng.standard_normal(dims) * rng.choice([0, 1e-20, 1, 1e15]), (num, 1))


def nearly_one_point(rng, num, dims):
    return 1 + rng.choice([1e-2, 1e-4, 1e-6]) * plain_rows(rng, num, dims)


def copies_nearly_one_point(rng, num, dims):
    return 1 + rng.choice([1e-3, 1e-5, 1e-7]) * copies(rng, num, dims)


def far_from_the_origin(rng, num, dims):
    return copies(rng, num, dims) + rng.choice([1e2, 1e4, 1e6])


def mixed_norms(rng, num, dims):
    return copies(rng, num, dims) * 10.0 ** rng.integers(-6, 7, (num, 1))


def one_row_far_away(rng, num, dims):
    rows = copies(rng, num, dims)
    rows[rng.integers(num)] *= 1e8
    return rows


def rays(rng, num, dims):
    """Rows of one direction and several lengths, which the cosine cannot tell apart but for rounding."""
    return copies(rng, num, dims) * 2.0 ** rng.integers(-3, 4, (num, 1))


def some_zeros(rng, num, dims):
    return plain_rows(rng, num, dims) * (rng.random((num, 1)) < 0.6)


KINDS = (
    plain_rows,
    copies,
    whole_numbers,
    one_dimension,
    one_point,
    nearly_one_point,
    copies_nearly_one_point,
    far_from_the_origin,
    mixed_norms,
    one_row_far_away,
    rays,
    some_zeros,
)


def case(kind, seed):
    """Embeddings, labels, a gallery or not, which images are the same or not; and which a query sees."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    num, dims = int(rng.integers(2, 90)), int(rng.choice([1, 2, 3, 8, 33, 64]))
    rows = torch.from_numpy(kind(rng, num, dims).astype(np.float32))
    labels = torch.from_numpy(rng.integers(0, max(1, num // int(rng.integers(1, 9))), num))
    ids = torch.from_numpy(rng.integers(0, num, num)) if rng.random() < 0.3 else None
    if rng.random() < 0.5 or num < 4:
        own = torch.arange(num) if ids is None else ids
        return rng, (rows, labels), None if ids is None else (ids, ids), own[:, None] != own
    cut = num // 3
    both = None if ids is None else (ids[:cut], ids[cut:])
    seen = torch.ones(cut, num - cut, dtype=torch.bool) if ids is None else both[0][:, None] != both[1]
    return rng, (rows[:cut], labels[:cut], rows[cut:], labels[cut:]), both, seen


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_random_cases(kind, distance, monkeypatch):
    for seed in SEEDS:
        rng, given, ids, seen = case(kind, seed)
        query, gallery = given[0].numpy(), given[-2].numpy()
        scores = plain_scores(query, gallery, distance)
        labels = given[1].numpy(), given[-1].numpy()
        ties = bool(rng.random() < 0.3)
        options = {"image_ids": ids, "distance": distance}
        seen = seen.numpy()
        expected = plain_metrics(scores, *labels, seen, recall_ks=KS, ties_count=ties, own=len(given) == 2)
        lists = plain_lists(scores, seen)
        k = int(rng.integers(1, 1 + min(map(len, lists)))) if min(map(len, lists)) else None
        results = []
        for chunk_size in (None, int(rng.integers(1, 32))):
            # Few candidates are many here, so that float64 products and whole rows have their say, too.
            monkeypatch.setattr(blocks, "_FEWEST", int(rng.choice([0, 3, 64])))
            options["chunk_size"] = chunk_size
            found = retrieval_metrics(*given, recall_ks=KS, ties_count_for_query=ties, **options)
            found |= mean_average_precision(*given, names=["mAP"], **options)
            results.append(found)
            assert found == pytest.approx(expected, abs=1e-12), (seed, chunk_size)
            if k and len(given) == 2 and ids is None:
                own = torch.arange(len(query))
                found = nearest_neighbours(*given[:1] * 2, k, distance=distance, exclude=own, chunk_size=chunk_size)[0]
                assert [row.tolist() for row in found] == [row[:k].tolist() for row in lists], (seed, chunk_size)
        for name in ("map_at_r", "r_precision", "precision_at_1", *(f"recall_at_{k}" for k in KS)):
            assert results[0][name] == results[1][name], (seed, name)


def copies_of_rows(seed, dims):
    rng = np.random.default_rng(seed)
    num = int(rng.integers(6, 120))
    rng.choice(7)
    rows = rng.standard_normal((max(2, num // 5), dims)).astype("float32")
    embeddings = rows[rng.integers(0, len(rows), num)]
    return torch.from_numpy(embeddings), torch.from_numpy(rng.integers(0, max(2, num // 6), num))


@pytest.mark.parametrize(("seed", "dims", "expected"), [(430, 33, 0.210526), (498, 33, 0.118644), (705, 8, None)])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_copies_tie_at_the_edge_of_every_block(seed, dims, expected, distance):
    """A product gives copies at the edge of a block of columns another last digit."""
    embeddings, labels = copies_of_rows(seed, dims)
    found = [
        retrieval_metrics(embeddings, labels, recall_ks=(1, 2, 4), distance=distance, chunk_size=chunk_size)
        for chunk_size in (None, *range(1, 32))
    ]
    assert all(other == found[0] for other in found)
    if expected:
        assert found[0]["recall_at_1"] == pytest.approx(expected, abs=1e-6)
