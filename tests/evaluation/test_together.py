"""Two processes that divide the queries among them find what one finds, to the bit."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from dml.evaluation.evaluator import evaluate_embeddings
from two_processes import in_two_processes, needs_gloo

METRICS = ("recall", "map_at_r", "r_precision", "precision_at_1", "e_recall@1", "mAP", "mAP_1000", "mAP_c", "nmi")


def cases() -> list[tuple[dict, dict]]:
    """Embeddings with copies and rows that all but tie, classes of one image and of many, odd numbers of queries."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(301, 6, generator=generator)
    rows[100:140] = rows[60:100]
    rows[140:160] = rows[60] + 1e-7 * torch.randn(20, 6, generator=generator)
    labels = torch.randint(12, (301,), generator=generator)
    labels[0] = 99
    own = {"query": rows, "query_labels": labels}
    apart = {"query": rows[:1], "query_labels": labels[1:2], "gallery": rows[1:], "gallery_labels": labels[1:]}
    few = {"query": rows[:3], "query_labels": torch.tensor([1, 2, 3])}  # none has a positive
    numbers = torch.arange(301) // 2
    collapsed = {"query": torch.ones(40, 6), "query_labels": torch.arange(40) % 3}
    return [
        (own, {}),
        (own, {"distance": "euclidean", "image_ids": (numbers, numbers)}),
        (apart, {"ties_count_for_query": True}),
        (few, {}),
        (collapsed, {}),
    ]


def values_of(together: bool) -> list[dict]:
    how = {"recall_ks": (1, 2, 10, 100), "metrics": METRICS, "together": together}
    return [evaluate_embeddings(**given, **how, **options) for given, options in cases()]


def of_a_process(rank: int) -> list[dict]:
    return values_of(together=True)


@cache
def of_two() -> list[list[dict]]:
    return in_two_processes(of_a_process)


@needs_gloo
@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_find_what_one_does(rank):
    assert of_two()[rank] == values_of(together=False)


def test_alone_nothing_is_divided():
    assert values_of(together=True) == values_of(together=False)
