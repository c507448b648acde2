"""Similarity scores: precision, single pairs, distances."""

from __future__ import annotations

import pytest
import torch

from dml.neighbours import SimilarityScores


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_float32_scores_stay_within_tolerance(distance, shift):
    generator = torch.Generator().manual_seed(4)
    embeddings = torch.randn(500, 300, generator=generator) + shift
    scores = SimilarityScores(embeddings, embeddings, distance=distance)
    rows = torch.arange(100)
    exact = scores.block(rows, torch.float64)
    assert (scores.block(rows, torch.float32) - exact).abs().max() < scores.tolerance


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


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("tile_bytes", [8 * 2**20, 1])
def test_pairs_are_entries_of_a_block(distance, tile_bytes, monkeypatch):
    generator = torch.Generator().manual_seed(6)
    query, gallery = torch.randn(9, 6, generator=generator), torch.randn(40, 6, generator=generator)
    monkeypatch.setattr("dml.neighbours.scores._TILE_BYTES", tile_bytes)
    scores = SimilarityScores(query, gallery, distance=distance)
    rows, columns = torch.tensor([8, 0, 0, 3]), torch.tensor([1, 39, 39, 0])
    expected = scores.block(torch.arange(9), torch.float64)[rows, columns]
    torch.testing.assert_close(scores.pairs(rows, columns), expected, rtol=0, atol=2**-43)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_a_row_is_at_distance_zero_from_its_copy(shift):
    embeddings = torch.randn(300, 64, generator=torch.Generator().manual_seed(7)) + shift
    rows = torch.arange(300)
    scores = SimilarityScores(embeddings, embeddings, distance="euclidean")
    assert (scores.to_distance(rows, scores.pairs(rows, rows)[:, None]) == 0).all()
    others = scores.to_distance(rows, scores.pairs(rows, rows.roll(1))[:, None])[:, 0]
    torch.testing.assert_close(others, (embeddings - embeddings.roll(1, 0)).double().norm(dim=1))
