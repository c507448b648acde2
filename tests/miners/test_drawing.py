"""Random draws from the rows of a table."""

from __future__ import annotations

import torch

from dml.miners.drawing import draw


def test_draws_have_the_given_probabilities():
    torch.manual_seed(0)
    row = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.199, 0.001, 0.0])
    counts = torch.bincount(draw(row.expand(100_000, -1)), minlength=7)
    assert (counts[row == 0] == 0).all()
    assert ((counts - 1e5 * row).abs() <= 5 * (1e5 * row).sqrt()).all()


def test_masks_are_drawn_from_uniformly():
    torch.manual_seed(0)
    mask = torch.tensor([True, False, True, True, False])
    counts = torch.bincount(draw(mask.expand(90_000, -1)), minlength=5)
    assert counts[~mask].sum() == 0
    assert ((counts[mask] - 30_000).abs() < 5 * 30_000**0.5).all()


def test_rows_are_drawn_from_apart():
    weights = torch.eye(40)[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    assert torch.equal(draw(weights), weights.argmax(dim=1))
    assert torch.equal(draw(weights.bool()), weights.argmax(dim=1))


def test_rounding_hardly_ever_changes_a_draw():
    """Several processes get the batch's distances with other rounding than one process, and must draw the same."""
    torch.manual_seed(0)
    weights = torch.rand(2000, 50).softmax(dim=1)
    rounded = weights * (1 + 1e-6 * torch.randn(2000, 50))
    torch.manual_seed(1)
    drawn = draw(weights)
    torch.manual_seed(1)
    assert (draw(rounded) == drawn).float().mean() > 0.99


def test_rows_that_are_no_numbers_give_a_column_all_the_same():
    weights = torch.tensor([[0.5, 0.5, 0.0], [torch.nan] * 3])
    drawn = draw(weights)
    assert drawn[0] < 2
    assert drawn[1] == 0


def test_no_rows():
    assert draw(torch.ones(0, 5)).shape == (0,)
    assert draw(torch.ones(0, 5, dtype=torch.bool)).dtype == torch.int64
