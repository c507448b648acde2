"""Similarity scores: precision, single pairs, distances."""

from __future__ import annotations

import math

import pytest
import torch

from dml.neighbours import SimilarityScores
from dml.neighbours.definition import distinct_rows


def defined(scores, rows):
    """What the block approximates, of every pair: the defining score, in the unit ball."""
    whole = scores.exact_rows(rows)
    if scores.distance == "cosine":
        return whole
    centred = (scores.query.double() - scores._centre) / scores._scale
    return (whole / scores._scale**2 + centred[rows].square().sum(1, keepdim=True)) / 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("shift", [0.0, 5.0, 1e4])
def test_scores_of_blocks_stay_within_tolerance(distance, shift, dtype):
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.randn(500, 300, generator=generator) + shift
    scores = SimilarityScores(embeddings, embeddings, distance=distance)
    rows = torch.arange(100)
    assert (scores.block(rows, dtype) - defined(scores, rows)).abs().max() < scores.tolerance(dtype)


def test_low_matmul_precision_and_autocast_are_overridden():
    embeddings = torch.randn(64, 64, generator=torch.Generator().manual_seed(5))
    scores, rows = SimilarityScores(embeddings, embeddings), torch.arange(64)
    expected = scores.block(rows, torch.float32)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(scores.block(rows, torch.float32), expected)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def fixed_sum(terms):
    """The last half to the first until one is left, one addition at a time."""
    while len(terms) > 1:
        half = len(terms) // 2
        terms = [a + b for a, b in zip(terms, terms[len(terms) - half :], strict=False)] + terms[half : -half or None]
    return terms[0]


def score_of(query, gallery, distance):
    query, gallery = query.double().tolist(), gallery.double().tolist()
    if distance == "euclidean":
        return -fixed_sum([(a - b) * (a - b) for a, b in zip(query, gallery, strict=True)])
    query, gallery = ([a / math.sqrt(fixed_sum([b * b for b in row]) + 1e-12) for a in row] for row in (query, gallery))
    return fixed_sum([a * b for a, b in zip(query, gallery, strict=True)])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("dims", [1, 2, 3, 16, 17, 33, 100])
@pytest.mark.parametrize("small", [False, True])
def test_the_definition_to_the_last_digit(distance, dims, small, monkeypatch):
    generator = torch.Generator().manual_seed(dims)
    query, gallery = torch.randn(5, dims, generator=generator), 3 * torch.randn(30, dims, generator=generator)
    gallery[20:] = gallery[:10]
    if small:
        for name in ("_TILE_BYTES", "_PAIRS_BYTES", "_CACHE_BYTES"):
            monkeypatch.setattr(f"dml.neighbours.scores.{name}", 1)
    scores = SimilarityScores(query, gallery, distance=distance)
    expected = torch.tensor([[score_of(q, g, distance) for g in gallery] for q in query], dtype=torch.float64)
    assert torch.equal(scores.exact_rows(torch.arange(5)), expected)
    rows, columns = torch.tensor([4, 0, 0, 3]), torch.tensor([1, 29, 29, 0])
    assert torch.equal(scores.pairs(rows, columns), expected[rows, columns])
    assert torch.equal(scores.pairs(rows[:1], columns[:1]), expected[rows[:1], columns[:1]])


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_a_row_is_at_distance_zero_from_its_copy(shift):
    embeddings = torch.randn(300, 64, generator=torch.Generator().manual_seed(7)) + shift
    rows = torch.arange(300)
    scores = SimilarityScores(embeddings, embeddings, distance="euclidean")
    assert (scores.to_distance(scores.pairs(rows, rows)) == 0).all()
    others = scores.to_distance(scores.pairs(rows, rows.roll(1)))
    torch.testing.assert_close(others, (embeddings - embeddings.roll(1, 0)).double().norm(dim=1))


@pytest.mark.parametrize("pieces", [1, 7, 1000])
def test_rows_that_stand_for_their_copies(pieces):
    generator = torch.Generator().manual_seed(8)
    rows = torch.randn(20, 5, generator=generator)
    embeddings = rows[torch.randint(20, (100,), generator=generator)]
    items, place = distinct_rows(embeddings, pieces)
    assert torch.equal(embeddings[items][place], embeddings)
    assert len(items) == len(embeddings.unique(dim=0))
