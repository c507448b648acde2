"""Optimisers, schedules and clipping."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dml.config import OptimConfig
from dml.methods.base import ParamGroup, train_only_new
from dml.structures import Progress
from dml.training.optim import OPTIMIZERS, Schedule, clip_gradients, create_optimizer


def config(**values) -> OptimConfig:
    return OptimConfig(**{"epochs": 30, "lr": 0.1, "warm": 0} | values)


def groups():
    return [
        ParamGroup("backbone", [nn.Parameter(torch.ones(3))]),
        ParamGroup("criterion", [nn.Parameter(torch.ones(2))], lr_scale=100.0, new=True, clip=False),
    ]


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_each_optimizer_steps_and_scales_the_rates(name):
    parts = groups()
    optimizer = create_optimizer(parts, config(optimizer=name, lr=1e-3))
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3, 0.1])
    for part in parts:
        part.parameters[0].grad = torch.ones_like(part.parameters[0])
    optimizer.step()
    assert all((part.parameters[0] < 1).all() for part in parts)


def test_a_group_without_decay_stays_where_it_has_no_gradient():
    parts = [ParamGroup(name, [nn.Parameter(torch.ones(2))], decay=name == "network") for name in ("network", "margin")]
    optimizer = create_optimizer(parts, config(optimizer="adam", weight_decay=4e-4))
    for part in parts:
        part.parameters[0].grad = torch.zeros(2)
    optimizer.step()
    network, margin = (part.parameters[0].detach() for part in parts)
    torch.testing.assert_close(network, torch.full((2,), 0.9))  # a full step, however small the decay
    assert torch.equal(margin, torch.ones(2))


def test_a_group_without_parameters_is_left_out():
    optimizer = create_optimizer([*groups(), ParamGroup("empty", [])], config())
    assert [group["name"] for group in optimizer.param_groups] == ["backbone", "criterion"]


def rates(**values) -> list[float]:
    optimizer = create_optimizer(groups()[:1], config(**values))
    schedule, seen = Schedule(optimizer, config(**values)), []
    for _ in range(6):
        for _ in range(250):
            schedule.after_batch()
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.after_epoch()
    return seen


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"scheduler": "step", "lr_decay_step": 2, "lr_decay_gamma": 0.5}, [0.1, 0.1, 0.05, 0.05, 0.025, 0.025]),
        (
            {"scheduler": "multistep", "milestones": (1, 4), "lr_decay_gamma": 0.5},
            [0.1, 0.05, 0.05, 0.05, 0.025, 0.025],
        ),
        ({"scheduler": "exp", "lr_decay_gamma": 0.5}, [0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125]),
        ({"scheduler": "constant"}, [0.1] * 6),
        ({"scheduler": "cosine", "epochs": 3}, [0.1, 0.075, 0.025, 0.0, 0.025, 0.075]),
        ({"scheduler": "cyclic"}, [0.0625, 0.1, 0.0625, 0.025, 0.0625, 0.1]),
    ],
)
@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
def test_schedules(values, expected):
    assert rates(**values) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("warmup", "expected"),
    [
        (0.0, [1, 1, 1, 1, 1, 1, 1, 1]),
        (0.5, [0.5, 1, 1, 1, 1, 1, 1, 1]),
        (1.0, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        (2.0, [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]),
    ],
)
def test_the_rates_rise_linearly_over_a_warm_up_and_the_schedule_stays_as_it_is(warmup, expected):
    settings = config(scheduler="exp", lr_decay_gamma=0.5, lr_warmup=warmup)
    optimizer = create_optimizer(groups(), settings)
    schedule, seen = Schedule(optimizer, settings), []
    for step in range(8):
        epoch = step // 4
        with schedule.scaled(Progress(epoch, 30, step, 4)):
            seen.append([group["lr"] for group in optimizer.param_groups])
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1 / 2**epoch, 10 / 2**epoch])
        if step % 4 == 3:
            schedule.after_epoch()
    factors = [value / 2 ** (step // 4) for step, value in enumerate(expected)]
    assert [row[0] for row in seen] == pytest.approx([0.1 * factor for factor in factors])
    assert [row[1] for row in seen] == pytest.approx([10 * factor for factor in factors])


def test_a_warm_up_of_negative_length_is_refused():
    with pytest.raises(ValueError, match="--lr-warmup must be 0 or more, got -1"):
        config(lr_warmup=-1)


def test_a_schedule_is_saved_as_plain_numbers(tmp_path):
    for name in ("step", "multistep", "cosine", "exp", "cyclic", "constant"):
        optimizer = create_optimizer(groups(), config(scheduler=name))
        torch.save(Schedule(optimizer, config(scheduler=name)).state_dict(), tmp_path / "s.pt")
        torch.load(tmp_path / "s.pt", weights_only=True)


def test_clipping_by_value_leaves_unclipped_groups_alone():
    parts = groups()
    optimizer = create_optimizer(parts, config())
    for part in parts:
        part.parameters[0].grad = torch.full_like(part.parameters[0], -50.0)
    clip_gradients(optimizer, 10.0)
    assert (parts[0].parameters[0].grad == -10).all()
    assert (parts[1].parameters[0].grad == -50).all()


def test_warm_up_freezes_what_is_not_new():
    parts = groups()
    train_only_new(parts, warm_up=True)
    assert [part.parameters[0].requires_grad for part in parts] == [False, True]
    train_only_new(parts, warm_up=False)
    assert [part.parameters[0].requires_grad for part in parts] == [True, True]
