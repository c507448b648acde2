"""The largest few of each row: order, ties, groups."""

from __future__ import annotations

import pytest
import torch

from dml.neighbours import grouped_topk, ordered_topk


def test_ordered_topk_by_hand():
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    values, indices = ordered_topk(scores, 2)
    assert indices.tolist() == [[1, 2], [0, 1], [0, 1]]
    assert values.tolist() == [[3.0, 3.0], [0.0, 0.0], [5.0, 4.0]]
    assert ordered_topk(scores, 5)[1].tolist() == [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_topk_by_groups_finds_the_largest():
    block = torch.randn(5, 3001, generator=torch.Generator().manual_seed(0))
    block[:, 7] = -torch.inf
    block[0, 2990:] += 10.0  # in the rest that fills no group
    block[1, ::188] += 10.0  # in one group
    values, indices = grouped_topk(block, 30)
    assert torch.equal(values, block.topk(30).values)
    assert torch.equal(block.gather(1, indices), values)


@pytest.mark.parametrize(("columns", "k"), [(64, 1), (63, 1), (10, 10), (1007, 5)])
def test_topk_of_few_scores(columns, k):
    block = torch.randn(20, columns, generator=torch.Generator().manual_seed(0))
    values, indices = grouped_topk(block, k)
    assert torch.equal(values, block.topk(k).values)
    assert torch.equal(block.gather(1, indices), values)
