"""Random generators go on where they were, each process's and each device's own."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest
import torch

from dml.training.checkpoint import random_state, restore_random_state

CPU, GPU = torch.device("cpu"), torch.device("cuda", 1)


def draw() -> tuple[float, float, float]:
    return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def restore(states, device=CPU, *, rank=0, processes=1) -> list[str]:
    """The warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        restore_random_state(states, device, rank=rank, processes=processes)
    return [str(warning.message) for warning in caught]


@pytest.fixture
def two() -> tuple[list[dict], list[tuple]]:
    """The states of two processes, and what each draws next."""
    states, drawn = [], []
    for seed in (1, 2):
        random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)  # noqa: NPY002
        draw()
        states.append(random_state(CPU))
        drawn.append(draw())
    return states, drawn


def test_every_process_has_its_own(two, tmp_path):
    states, drawn = two
    torch.save(states, tmp_path / "states.pt")
    states = torch.load(tmp_path / "states.pt", weights_only=True)
    for rank in (1, 0):
        assert restore(states, rank=rank, processes=2) == []
        assert draw() == drawn[rank]


@pytest.mark.parametrize("processes", [1, 4])
def test_another_number_of_processes_is_said(two, processes):
    states, drawn = two
    (said,) = restore(states, rank=processes - 1, processes=processes)
    assert f"the run had 2 processes and goes on with {processes}" in said
    assert draw() == drawn[0]


def test_a_state_of_an_earlier_version(two):
    """It has the first process's generators and those of all GPUs."""
    states, drawn = two
    old = {name: states[0][name] for name in ("python", "numpy", "torch")}
    assert restore(old | {"cuda": []}, rank=1, processes=2) == []
    assert draw() == drawn[0]
    (said,) = restore(old | {"cuda": [torch.zeros(16, dtype=torch.uint8)]})
    assert "the run was on a GPU and goes on on the CPU" in said


def test_a_gpu_has_its_own_generator_whatever_its_number(two, monkeypatch):
    states, _ = two
    generators = {f"cuda:{number}": torch.full((16,), number, dtype=torch.uint8) for number in range(3)}
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: generators[str(device)])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: generators.update({str(device): state}))
    state = random_state(GPU)
    assert int(state["device"][0]) == 1
    assert restore([state], torch.device("cuda", 2)) == []
    assert int(generators["cuda:2"][0]) == 1
    (said,) = restore([random_state(CPU)], GPU)
    assert "the run was on the CPU and goes on on a GPU" in said
    old = {name: states[0][name] for name in ("python", "numpy", "torch")} | {"cuda": [state["device"] + 8] * 2}
    assert restore(old, GPU) == []
    assert int(generators["cuda:1"][0]) == 9


@pytest.mark.gpu
def test_draws_on_a_gpu_go_on():
    device = torch.device("cuda", 0)
    torch.rand(3, device=device)
    state, expected = random_state(device), torch.rand(3, device=device)
    torch.rand(5, device=device)
    assert restore([state], device) == []
    assert torch.equal(torch.rand(3, device=device), expected)
