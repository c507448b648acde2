"""Apple's GPUs compute without float64: what runs there asks for none, and what must be exact goes to the CPU."""

from __future__ import annotations

import torch
from torch import nn

from dml.devices import exact_device, finest_float, fit_to_device

CPU, APPLE = torch.device("cpu"), torch.device("mps", 0)


def test_what_must_be_exact_leaves_a_device_without_float64():
    assert (exact_device(APPLE), exact_device(CPU)) == (CPU, CPU)
    assert (finest_float(APPLE), finest_float(CPU)) == (torch.float32, torch.float64)
    assert exact_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


class Sums(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("sums", torch.tensor([1.5], dtype=torch.float64))
        self.register_buffer("counts", torch.tensor([2]))
        self.weight = nn.Parameter(torch.ones(1))


def test_buffers_take_the_finest_type_of_the_device():
    module = nn.Sequential(Sums(), nn.Sequential(Sums()))
    before = module.state_dict()
    assert fit_to_device(module, CPU) is module
    assert [tensor.dtype for tensor in module.state_dict().values()] == [tensor.dtype for tensor in before.values()]
    after = fit_to_device(module, APPLE).state_dict()
    assert list(after) == list(before)
    assert {name: (tensor.item(), tensor.dtype) for name, tensor in after.items() if name.startswith("0.")} == {
        "0.weight": (1.0, torch.float32),
        "0.sums": (1.5, torch.float32),
        "0.counts": (2, torch.int64),
    }
    assert after["1.0.sums"].dtype == torch.float32
