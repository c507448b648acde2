"""The term of listwise self-distillation."""

from __future__ import annotations

import pytest
import torch
from plain_lsd import plain_divergence

from dml.losses.ranking.listwise import ListwiseDistillationLoss

LABELS = torch.arange(24) % 6


def embeddings(seed: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    rows = torch.randn(24, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(rows).to(dtype).requires_grad_()


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_equals_the_loop_over_anchors(temperature, scale):
    ours, plain, teacher = embeddings(0), embeddings(0), embeddings(1).detach()
    loss = ListwiseDistillationLoss(temperature=temperature, different_class_scale=scale)
    result, expected = loss(ours, teacher, LABELS), plain_divergence(plain, teacher, LABELS, temperature, scale)
    result.backward()
    expected.backward()
    torch.testing.assert_close(result, expected)
    torch.testing.assert_close(ours.grad, plain.grad)


def test_nothing_to_learn_from_oneself_nor_gradient_for_the_teacher():
    student, teacher = embeddings(0), embeddings(0)
    result = ListwiseDistillationLoss()(student, teacher, LABELS)
    result.backward()
    assert abs(result.item()) < 1e-15
    assert student.grad.abs().max() < 1e-15
    assert teacher.grad is None


def test_teacher_of_another_size_and_order_of_the_batch():
    student, teacher = embeddings(0), torch.randn(24, 5, dtype=torch.float64)
    loss, order = ListwiseDistillationLoss(different_class_scale=0.3), torch.randperm(24)
    torch.testing.assert_close(loss(student[order], teacher[order], LABELS[order]), loss(student, teacher, LABELS))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_sharp_temperature_stay_finite(dtype):
    student = embeddings(0, dtype)
    result = ListwiseDistillationLoss(temperature=0.001)(student, embeddings(1, dtype), LABELS)
    result.backward()
    assert torch.isfinite(result)
    assert student.grad.isfinite().all()


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="kd_tau must be positive"):
        ListwiseDistillationLoss(temperature=0)
    with pytest.raises(ValueError, match=r"\(23, 8\)"):
        ListwiseDistillationLoss()(embeddings(0), embeddings(1)[1:], LABELS)
