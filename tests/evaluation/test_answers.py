"""Over how many queries a figure is."""

from __future__ import annotations

import pytest
import torch

from dml.evaluation.answers import Answers
from dml.evaluation.retrieval import query_errors

KEYS = ("recall_at_1", "recall_at_10", "map_at_r", "r_precision", "precision_at_1", "nmi", "dists_at_intra")


def test_queries_without_another_image_of_their_class():
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    assert Answers.count(labels) == Answers(6, 5)
    assert Answers.count(labels, torch.tensor([2, 0, 7])) == Answers(6, 5)
    assert Answers.count(labels, torch.tensor([9])) == Answers(6, 0)


def test_a_copy_is_no_answer():
    labels, ids = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([4, 4, 5, 5, 6])
    answers = Answers.count(labels, image_ids=(ids, ids))
    assert answers == Answers(5, 3, copied=4)
    assert answers.of_copies.startswith("of 4 queries the gallery holds the same image; it is left out")
    gallery_ids = torch.tensor([4, 8, 9, 9, 6])
    assert Answers.count(labels, labels, (ids, gallery_ids)) == Answers(5, 5, copied=3)
    assert Answers.count(labels).of_copies == ""
    errors = query_errors(torch.randn(5, 3), labels, image_ids=(ids, ids))
    assert errors.has_positive.tolist() == [False, False, True, True, True]


@pytest.mark.parametrize(
    ("answers", "keys", "sentence"),
    [
        (Answers(14, 14), KEYS, "R@k, MAP@R, R-precision, P@1 over 14 queries"),
        (
            Answers(14, 12),
            KEYS,
            "R@k, P@1 over 14 queries; MAP@R, R-precision over 12: 2 have no answer in the gallery",
        ),
        (Answers(14, 13), KEYS[:1], "R@k over 14 queries: 1 has no answer in the gallery"),
        (Answers(12, 0), ("map_at_r",), "MAP@R over 0 queries: 12 have no answer in the gallery"),
        (Answers(14, 12), ("nmi", "rho_spectrum_at_1"), ""),
        (Answers(14, 12), ("e_recall_at_1", "c_mAP"), "e_recall@k, c_mAP over 14 queries: 2 have no answer"),
    ],
)
def test_the_sentence_below_a_table(answers, keys, sentence):
    said = answers.sentence(keys)
    assert said.startswith(sentence) and bool(said) == bool(sentence)


def test_only_what_is_missing_is_recorded():
    assert Answers(14, 14).counts == {}
    assert Answers(14, 12).counts == {"queries": 14, "queries_with_answer": 12}
