"""Every method trains on a device that refuses float64, as Apple's GPUs do; the CPU stands in for one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dml import devices
from dml.structures import StepOutput
from dml.training.losswatch import LossWatch
from methods.test_steps_of_two_processes import CASES, after_two_steps


class WithoutFloat64(TorchDispatchMode):
    """Refuses what an Apple GPU refuses: to make a tensor of float64."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None) -> Any:
        result = function(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.dtype == torch.float64 for leaf in tree_leaves(result)):
            raise TypeError(f"{function}: this device has no float64")
        return result


@pytest.fixture
def standing_in(monkeypatch) -> WithoutFloat64:
    monkeypatch.setattr(devices, "has_float64", lambda device: False)
    return WithoutFloat64()


def test_the_stand_in_refuses_float64(standing_in):
    with standing_in, pytest.raises(TypeError, match="no float64"):
        torch.ones(1).double()


@pytest.mark.parametrize("case", CASES)
def test_a_step(case, standing_in):
    with_it = after_two_steps(case)["logs"]
    without = after_two_steps(case, steps=standing_in)["logs"]
    assert without == pytest.approx(with_it, rel=1e-4, abs=1e-5)


def test_the_losses_of_an_epoch(standing_in):
    watch = LossWatch({"loss": 0.25})
    with standing_in:
        for step, value in enumerate((0.5, 0.75)):
            output = StepOutput(torch.tensor(value), {"pull": torch.tensor(2 * value)})
            watch.add(output, step, torch.arange(2))
        assert watch.totals() == {"loss": 1.5, "pull": 2.5}
