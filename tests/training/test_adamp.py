"""Our AdamP beside the package's."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from dml.training.adamp import AdamP, project

SHAPES = [(8, 3, 3, 3), (16, 8, 3, 3), (12, 20), (20,), (6, 1, 3, 3), (8, 8, 1, 1), (5, 4)]
SETTINGS = [
    {"nesterov": True, "weight_decay": 1e-2},
    {"nesterov": False},
    {"nesterov": True, "weight_decay": 1e-2, "lr": 0.1, "delta": 0.5, "wd_ratio": 0.3, "eps": 1e-3},
]


def weights() -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in SHAPES]


def give_gradients(parameters: list[nn.Parameter], step: int) -> None:
    """Upright on each channel, on the whole weight, or neither; the vector gets its first one later than the others."""
    generator = torch.Generator().manual_seed(step)
    for number, weight in enumerate(parameters):
        gradient, along = torch.randn(weight.shape, generator=generator), weight.detach().contiguous()
        if weight.ndim > 1 and number % 3 < 2:
            within = tuple(range(1, weight.ndim)) if number % 3 == 0 else tuple(range(weight.ndim))
            products, squares = ((gradient * along), along.square())
            gradient -= along * products.sum(within, keepdim=True) / squares.sum(within, keepdim=True)
        elif weight.ndim > 1:
            gradient += along
        if weight.ndim > 1 or step > 2:
            weight.grad = gradient.to(memory_format=torch.preserve_format)


def trained(make, parameters: list[nn.Parameter], steps: range = range(12), state: dict | None = None):
    optimizer = make(parameters)
    if state is not None:
        optimizer.load_state_dict(copy.deepcopy(state))
    for step in steps:
        give_gradients(parameters, step)
        optimizer.step()
    return optimizer


def apart(first: list[nn.Parameter], second: list[nn.Parameter]) -> list[bool]:
    return [not torch.equal(one, other) for one, other in zip(first, second, strict=True)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_equal_to_the_package(settings):
    package = pytest.importorskip("adamp")
    ours, theirs = weights(), weights()
    trained(lambda given: AdamP(given, **settings), ours)
    trained(lambda given: package.AdamP(given, **settings), theirs)
    assert not any(apart(ours, theirs))
    assert all(apart(ours, weights()))


@pytest.mark.parametrize("ours_first", [True, False])
def test_either_goes_on_from_the_others_state(ours_first):
    package = pytest.importorskip("adamp")
    kinds = (AdamP, package.AdamP) if ours_first else (package.AdamP, AdamP)
    alone, both = weights(), weights()
    make = [lambda given, kind=kind: kind(given, nesterov=True, weight_decay=1e-2) for kind in kinds]
    trained(make[0], alone)
    state = trained(make[0], both, range(5)).state_dict()
    trained(make[1], both, range(5, 12), state)
    assert not any(apart(alone, both))


def test_all_three_cases_occur():
    """Channel by channel, the whole weight, neither: they differ from each other and from Adam's step."""
    weight, update = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.ones(2, 2)

    def left(gradient: list[list[float]]) -> tuple[Tensor, bool]:
        given = update.clone()
        done = project(weight, torch.tensor(gradient), given, delta=0.1, eps=0.0)
        return given, bool(done)

    rest, done = left([[0.0, 1.0], [1.0, 0.0]])
    assert done
    torch.testing.assert_close(rest, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    rest, done = left([[1.0, 0.0], [0.0, -3.0]])
    assert done
    torch.testing.assert_close(rest, update - weight * 4 / 10)
    rest, done = left([[1.0, 0.0], [0.0, 1.0]])
    assert not done
    torch.testing.assert_close(rest, update)


def test_weights_in_channels_last():
    plain, last = weights(), weights()
    for weight in last:
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    for parameters in (plain, last):
        trained(lambda given: AdamP(given, nesterov=True, weight_decay=1e-2), parameters)
    for one, other in zip(plain, last, strict=True):
        torch.testing.assert_close(one, other)


def test_a_closure():
    weight = nn.Parameter(torch.ones(2))
    optimizer = AdamP([weight])

    def closure():
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    assert (weight < 1).all()
