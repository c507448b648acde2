"""Distances within and between classes, and the spectrum, against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from dml.evaluation.spread import (
    class_distances,
    collapse,
    intra_class_distances,
    relative_spread,
    rho_spectrum,
    singular_values,
    spectra,
)


@pytest.fixture
def sample():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(4, (50,), generator=generator)
    labels[7] = 9  # a singleton
    return torch.randn(50, 6, generator=generator) + labels[:, None] % 3, labels


def off_diagonal_mean(rows):
    distance = cdist(rows, rows, "cosine")
    return distance.sum() / (len(rows) ** 2 - len(rows))


def test_class_distances_are_means_over_pairs(sample):
    embeddings, labels = sample
    classes = [embeddings[labels == c].double().numpy() for c in labels.unique()]
    intra = np.mean([off_diagonal_mean(rows) for rows in classes if len(rows) > 1])
    inter = off_diagonal_mean(np.stack([rows.mean(0) for rows in classes]))
    got = class_distances(embeddings, labels)
    assert got == pytest.approx({"intra": intra, "inter": inter, "intra_over_inter": intra / inter}, rel=1e-9)
    assert intra_class_distances(embeddings, labels).isnan().tolist() == [False] * 4 + [True]


def test_without_pairs_distances_are_zero():
    one = class_distances(torch.randn(5, 3), torch.zeros(5, dtype=torch.int64))
    assert one["inter"] == 0
    assert math.isfinite(one["intra_over_inter"])
    assert class_distances(torch.randn(5, 3), torch.arange(5))["intra"] == 0


def test_singular_values(sample):
    embeddings, _ = sample
    expected = np.linalg.svd(embeddings.double().numpy(), compute_uv=False)
    assert singular_values(embeddings).tolist() == pytest.approx(expected.tolist(), rel=1e-9)


def test_even_directions_have_no_divergence():
    assert rho_spectrum(torch.ones(8), 1) == pytest.approx(0, abs=1e-7)
    assert rho_spectrum(torch.ones(8), -1) == pytest.approx(0, abs=1e-7)
    assert rho_spectrum(torch.tensor([3.0, 1.0]), 0) == [0.75, 0.25]


def test_divergences_by_hand():
    share, uniform = torch.tensor([0.5, 0.3, 0.2]), torch.full((3,), 1 / 3)
    values = torch.cat([torch.tensor([9.0]), share])  # m = 2 drops the largest
    assert rho_spectrum(values, 2) == pytest.approx(float((uniform * (uniform / share).log()).sum()), rel=1e-5)
    assert rho_spectrum(values, -2) == pytest.approx(float((share * (share / uniform).log()).sum()), rel=1e-5)


def test_collapsed_and_short_spectra_are_finite(sample):
    flat = sample[0].clone()
    flat[:, 3:] = 0
    assert all(math.isfinite(value) for number, value in spectra(flat, [1, -1, 2]).items())
    assert spectra(torch.zeros(5, 4), [1])[1] == 0
    assert spectra(sample[0], [5, 10]) == {5: 0.0, 10: 0.0}  # of 5 values 4 and 9 are taken away


def test_not_a_number_is_refused(sample):
    embeddings, labels = sample
    embeddings[0, 0] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinite"):
        class_distances(embeddings, labels)
    with pytest.raises(ValueError, match="NaN or infinite"):
        singular_values(embeddings)


def test_relative_spread(sample, monkeypatch):
    embeddings, _ = sample
    rows = embeddings.double().numpy()
    for distance in ("euclidean", "cosine"):
        far = np.sqrt(((rows - rows.mean(0)) ** 2).sum(1).mean() / (rows**2).sum(1).mean())
        assert relative_spread(embeddings, distance=distance) == pytest.approx(far)
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    monkeypatch.setattr("dml.evaluation.spread._CHUNK_ROWS", 7)
    assert relative_spread(embeddings, distance="cosine") == pytest.approx(far)


@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_a_collapsed_network_is_said(distance):
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(torch.randn(30, 8, generator=generator))
    for equal in (torch.zeros(30, 8), torch.full((30, 8), 1e-3), 1 + 1e-4 * directions):
        assert "the network has collapsed: the embeddings of all 30 images" in collapse(equal, distance=distance)
    assert collapse(1 + 1e-2 * directions, distance=distance) is None  # an untrained network may be so
    assert collapse(directions[:1], distance=distance) is None


def test_directions_alone_count_by_cosine():
    lengths = torch.linspace(1, 9, 20)[:, None]
    assert collapse(torch.ones(20, 4) * lengths, distance="cosine")
    assert collapse(torch.ones(20, 4) * lengths, distance="euclidean") is None
