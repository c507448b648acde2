"""Photographs of a series do not answer each other in the distinct R@1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from dml.data.near_duplicates import fingerprint
from dml.evaluation.answers import Answers
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.series import leading_first, series_in, with_distinct_recall


def prints_of(*seeds: int) -> np.ndarray:
    """Fingerprints of blurred noise: equal for equal seeds, unlike for others."""
    images = [np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8) for seed in seeds]
    return np.array([fingerprint(Image.fromarray(image).resize((90, 90))) for image in images])


def test_a_series_is_of_one_class_and_joins_what_looks_alike():
    labels = np.array([0, 0, 0, 1, 1])
    (query, gallery) = series_in((prints_of(1, 1, 2, 1, 3),), (labels,), None)
    assert query is gallery
    assert query[0] == query[1]
    assert len(set(query.tolist())) == 4, "an image of another class that looks alike stays a wrong answer"


def test_the_same_image_belongs_to_its_series_whatever_its_class():
    numbers = np.array([7, 8, 7])
    prints, labels = (prints_of(1, 2), prints_of(3)), (np.array([0, 0]), np.array([1]))
    query, gallery = series_in(prints, labels, (numbers[:2], numbers[2:]))
    assert query[0] == gallery[0] != query[1]


@pytest.fixture
def evaluation() -> Evaluation:
    """Queries 0 and 1 of a class find each other, and look alike; 2 of that class lies with 3 of another one."""
    embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.01, 1.0]])
    metrics = {"recall_at_1": 0.5, "recall_at_2": 0.5, "map_at_r": 0.25}
    return Evaluation(metrics, embeddings, torch.tensor([0, 0, 0, 1]))


def test_distinct_recall_by_hand(evaluation):
    series = (torch.tensor([0, 0, 1, 2]),) * 2
    judged = with_distinct_recall(evaluation, series, distance="cosine")
    # Without each other, 0 and 1 find 3 before 2; 2 finds 3; 3 has no answer at all.
    assert judged.metrics["distinct_recall_at_1"] == 0
    assert judged.answers == Answers(4, 3, copied=0, distinct=3)
    assert "as in a series: over 3 of 4 queries" in judged.remarks[-1]
    apart = with_distinct_recall(evaluation, (torch.arange(4),) * 2, distance="cosine")
    torch.testing.assert_close(apart.metrics["distinct_recall_at_1"], 2 / 3)  # of those with an answer


def test_what_tells_methods_apart_comes_first(evaluation):
    judged = with_distinct_recall(evaluation, (torch.arange(4),) * 2, distance="cosine")
    assert list(judged.metrics) == ["recall_at_1", "map_at_r", "distinct_recall_at_1", "recall_at_2"]
    assert list(leading_first({"nmi": 0.1, "map_at_r": 0.2})) == ["map_at_r", "nmi"]


def test_where_every_answer_is_of_the_series(evaluation):
    judged = with_distinct_recall(evaluation, (torch.tensor([0, 0, 0, 1]),) * 2, distance="cosine")
    assert "distinct_recall_at_1" not in judged.metrics
    assert judged.answers.distinct == 0
    assert "no query has an answer that does not look nearly like it" in judged.remarks[-1]
