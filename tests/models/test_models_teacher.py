"""The teacher follows its student and nothing else."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from dml.models import create_model
from dml.models.teacher import Teacher


@pytest.fixture
def student():
    torch.manual_seed(0)
    return create_model("resnet18", pretrained=False, embedding_size=4)


def shifted(network: nn.Module) -> nn.Module:
    """A copy with every parameter and running statistic moved by 1 and every counter by 3."""
    other = deepcopy(network)
    with torch.no_grad():
        for value in other.state_dict().values():
            value += 1 if value.is_floating_point() else 3
    return other


@pytest.mark.parametrize("momentum", [0.0, 0.9, 1.0])
def test_an_update_goes_the_share_of_the_way(student, momentum):
    teacher = Teacher(deepcopy(student), momentum=momentum)
    teacher.update(shifted(student))
    for name, value in teacher.network.state_dict().items():
        moved = 3 if "num_batches_tracked" in name else 1 - momentum
        torch.testing.assert_close(value, student.state_dict()[name] + moved)


def test_without_momentum_the_teacher_is_the_student_exactly(student):
    teacher, other = Teacher(deepcopy(student), momentum=0), shifted(student)
    teacher.update(other)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), other.parameters(), strict=True))


def test_nothing_of_it_has_a_gradient_and_its_state_is_saved(student):
    teacher = Teacher(deepcopy(student), momentum=0.9)
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not teacher(torch.zeros(2, 3, 32, 32)).embedding.requires_grad
    assert all(p.requires_grad for p in student.parameters())
    assert {f"network.{key}" for key in student.state_dict()} == set(teacher.state_dict())


def test_it_stays_in_evaluation_mode_unless_told_otherwise(student):
    method = nn.ModuleList([Teacher(deepcopy(student), momentum=0.9)])
    assert not any(m.training for m in method.train().modules() if m is not method)
    method = nn.ModuleList([Teacher(deepcopy(student), momentum=0.9, always_eval=False)])
    assert all(m.training for m in method.train().modules())


def test_what_cannot_be_followed_is_refused(student):
    with pytest.raises(ValueError, match=r"momentum must lie in 0\.\.1, got 1\.5"):
        Teacher(deepcopy(student), momentum=1.5)
