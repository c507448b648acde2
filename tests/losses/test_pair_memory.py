"""Pair losses over memory rows against loops over samples."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dml.losses.pairs.contrastive import ContrastiveMemoryLoss
from dml.losses.pairs.multi_similarity import MultiSimilarityMemoryLoss

B, C, D, K = 10, 4, 6, 25


def batch(step: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(step)
    return torch.randn(B, D, dtype=torch.float64, generator=generator), torch.randint(C, (B,), generator=generator)


def multi_similarity(s: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    p, n = s[positives], s[negatives]
    if len(p) and len(n):
        p, n = p[p - 0.1 < n.max()], n[n + 0.1 > p.min()]
    if not len(p) or not len(n):
        return s.new_zeros(())
    return torch.log(1 + torch.exp(-2 * (p - 0.5)).sum()) / 2 + torch.log(1 + torch.exp(50 * (n - 0.5)).sum()) / 50


def contrastive(s: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
    n = s[negatives]
    return (1 - s[positives]).sum() + n[n > 0.5].sum() if positives.any() else s.new_zeros(())


CASES = [(MultiSimilarityMemoryLoss, multi_similarity), (ContrastiveMemoryLoss, contrastive)]


@pytest.mark.parametrize(("kind", "sample_loss"), CASES)
def test_equals_the_loop_before_and_with_the_memory(kind, sample_loss):
    loss = kind(num_classes=C, embedding_size=D, memory_size=K, memory_from_epoch=1).double()
    seen: list[tuple[Tensor, Tensor]] = []
    for step, epoch in enumerate((0, 1, 1)):  # three batches of 10 would not fit, two do
        loss.start_epoch(epoch)
        x, y = batch(step)
        if epoch:
            seen.append((x, y))
        rows, labels = (torch.cat(parts) for parts in zip(*(seen or [(x, y)]), strict=True))
        s = normalize(x) @ normalize(rows).T
        same = y[:, None] == labels
        expected = sum(sample_loss(s[i], same[i] & (s[i] < 1 - 1e-5), ~same[i]) for i in range(B)) / B
        torch.testing.assert_close(loss(x, y), expected)
    assert int(loss.memory.written) == 2 * B


@pytest.mark.parametrize(("kind", "_"), CASES)
def test_rows_of_the_memory_carry_no_gradient_and_stay_after_a_wrap(kind, _):
    loss = kind(num_classes=C, embedding_size=D, memory_size=K, memory_from_epoch=0).double()
    loss.start_epoch(0)
    for step in range(5):
        x, y = batch(step)
        value = loss(x.requires_grad_(), y)
        value.backward()
        assert x.grad.isfinite().all()
        assert x.grad.abs().sum() > 0
    assert loss.memory.filled().all()


def test_positives_without_any_negative_are_left_out():
    """The published mining crashes here."""
    x, _ = batch(0)
    loss = MultiSimilarityMemoryLoss(num_classes=C, embedding_size=D, memory_size=K).double()
    assert float(loss(x, torch.zeros(B, dtype=torch.int64))) == 0
