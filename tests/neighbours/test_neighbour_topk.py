"""The largest few of each row: order, ties."""

from __future__ import annotations

import pytest
import torch

from dml.neighbours import ordered_topk
from dml.neighbours.topk import kth_largest


def test_ordered_topk_by_hand():
    scores = torch.tensor([[1.0, 3.0, 3.0, 2.0, 3.0], [0.0, 0.0, 0.0, 0.0, 0.0], [5.0, 4.0, 3.0, 2.0, 1.0]])
    values, indices = ordered_topk(scores, 2)
    assert indices.tolist() == [[1, 2], [0, 1], [0, 1]]
    assert values.tolist() == [[3.0, 3.0], [0.0, 0.0], [5.0, 4.0]]
    assert ordered_topk(scores, 5)[1].tolist() == [[1, 2, 4, 3, 0], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


@pytest.mark.parametrize("columns", [1, 5, 300])
def test_kth_largest(columns):
    scores = torch.randn(40, columns, generator=torch.Generator().manual_seed(0))
    k = torch.randint(1, columns + 1, (40,), generator=torch.Generator().manual_seed(1))
    expected = [row.sort(descending=True).values[i - 1] for row, i in zip(scores, k, strict=True)]
    assert kth_largest(scores, k).tolist() == [float(value) for value in expected]
