"""Uncertainty against retrieval error: errors query by query, rank correlations, the picture, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dml.data import ImageRecords
from dml.evaluation.plots import certainty
from dml.evaluation.retrieval import QueryErrors, query_errors, retrieval_metrics
from dml.evaluation.uncertainty import require_uncertainty, uncertainty_correlations
from dml.models import Architecture


@pytest.mark.parametrize("with_gallery", [False, True])
def test_the_metrics_are_the_means_of_the_errors(with_gallery):
    generator = torch.Generator().manual_seed(0)
    embeddings, labels = torch.randn(80, 4, generator=generator), torch.randint(9, (80,), generator=generator)
    labels[7] = 99  # a class of its own
    data = (embeddings[:40], labels[:40], embeddings[40:], labels[40:]) if with_gallery else (embeddings, labels)
    errors = query_errors(*data, distance="euclidean")
    metrics = retrieval_metrics(*data, recall_ks=(1,), distance="euclidean")
    assert not errors.has_positive[7]
    assert 1 - float(errors.lost_precision[errors.has_positive].mean()) == pytest.approx(metrics["map_at_r"])
    assert 1 - float(errors.nearest_is_wrong.double().mean()) == pytest.approx(metrics["precision_at_1"])


def errors_of(lost: list[float]) -> QueryErrors:
    lost = torch.tensor(lost, dtype=torch.float64)
    return QueryErrors(lost, lost > 0.5, torch.ones(len(lost), dtype=torch.bool))


def test_correlations_are_those_of_the_ranks():
    errors = errors_of([0.1, 0.2, 0.6, 0.9])
    rising = uncertainty_correlations(torch.tensor([1.0, 10.0, 11.0, 5000.0]), errors)
    assert rising["uncertainty_vs_lost_precision"] == pytest.approx(1)
    assert 0.5 < rising["uncertainty_vs_wrong_nearest"] < 1
    falling = uncertainty_correlations(torch.tensor([4.0, 3.0, 2.0, 1.0]), errors)
    assert falling["uncertainty_vs_lost_precision"] == pytest.approx(-1)


def test_queries_without_positives_do_not_count():
    errors = errors_of([0.1, 0.2, 0.6, 1.0])._replace(has_positive=torch.tensor([True, True, True, False]))
    found = uncertainty_correlations(torch.tensor([1.0, 2.0, 3.0, 0.0]), errors)
    assert found["uncertainty_vs_lost_precision"] == pytest.approx(1)


def test_what_never_varies_correlates_with_nothing():
    assert set(uncertainty_correlations(torch.ones(4), errors_of([0.1, 0.2, 0.6, 0.9])).values()) == {None}
    perfect = uncertainty_correlations(torch.arange(4.0), errors_of([0.0, 0.0, 0.0, 0.0]))
    assert set(perfect.values()) == {None}


def test_the_picture_shows_both_ends_in_order(tmp_path, monkeypatch):
    for number in range(20):
        Image.new("RGB", (8, 8), (number * 12, 0, 0)).save(tmp_path / f"{number}.png")
    paths = tuple(str(tmp_path / f"{number}.png") for number in range(20))
    images = ImageRecords(paths, np.zeros(20, dtype=np.int64), ("only",))
    shown, show = [], certainty.show_image
    monkeypatch.setattr(certainty, "show_image", lambda *words: (shown.append(words), show(*words)))
    uncertainty, wrong = np.arange(20.0)[::-1], np.arange(20) < 5
    certainty.plot_certainty(images, uncertainty, wrong, tmp_path / "out.png", num_rows=1)
    reds = [image.getpixel((0, 0))[0] // 12 for _, image, *_ in shown]
    assert reds == [*range(19, 11, -1), *range(8)]
    assert [color for _, _, color, *_ in shown][8:] == [certainty.WRONG] * 5 + [certainty.RIGHT] * 3
    assert Image.open(tmp_path / "out.png").width > 500
    with pytest.raises(ValueError, match="do not fit together"):
        certainty.plot_certainty(images.take(range(3)), uncertainty, wrong, tmp_path / "out.png")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a.pt holds resnet18, 512-d.*no uncertainty head; code/train.py --introspective"),
        ({"uncertainty": True, "uncertainty_norm": True}, "unit length, so that they rank nothing"),
    ],
)
def test_networks_without_a_say_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        require_uncertainty(Architecture(backbone="resnet18", **options), "a.pt")
    require_uncertainty(Architecture(backbone="resnet18", uncertainty=True), "a.pt")
