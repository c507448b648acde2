"""Optimisers, schedules and clipping."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CyclicLR

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


@pytest.mark.filterwarnings("ignore:.*lr_scheduler.step.*")
@pytest.mark.parametrize(
    ("optimizer", "momenta"),
    [("sgd", [0.9, 0.85, 0.8, 0.85]), ("rmsprop", [0.9, 0.85, 0.8, 0.85]), ("adam", None), ("adamw", None)],
)
def test_the_cycle_is_one_for_all_groups_and_momentum_goes_the_other_way(optimizer, momenta):
    """Every 250 steps: a quarter of the base rate at first, whatever a group's multiple; as torch's CyclicLR has it."""
    settings = config(optimizer=optimizer, scheduler="cyclic", proxy_lr_scale=100.0)
    ours = create_optimizer(groups(), settings)
    schedule, seen, cycled = Schedule(ours, settings), [], []
    for step in range(1000):
        if step % 250 == 0:
            seen.append([group["lr"] for group in ours.param_groups])
            cycled.append([group.get("momentum") for group in ours.param_groups])
        schedule.after_batch()
        schedule.after_epoch()
    assert seen == [pytest.approx([rate] * 2) for rate in (0.025, 0.0625, 0.1, 0.0625)]
    if momenta is None:
        assert cycled == [[None] * 2] * 4
    else:
        assert cycled == [pytest.approx([momentum] * 2) for momentum in momenta]


def cyclic(optimizer: str, state: tuple[dict, dict] | None = None):
    """Parameters, optimiser and schedule of a cyclic run, new or continued."""
    settings = config(optimizer=optimizer, scheduler="cyclic")
    parts = groups()
    ours = create_optimizer(parts, settings)
    schedule = Schedule(ours, settings)
    if state is not None:
        ours.load_state_dict(copy.deepcopy(state[0]))
        schedule.load_state_dict(copy.deepcopy(state[1]))
    return parts, ours, schedule


def walk(parts, ours, schedule, steps: range) -> list[tuple]:
    """The rates and momenta of some steps, whose gradients follow from their numbers."""
    seen = []
    for step in steps:
        for part in parts:
            part.parameters[0].grad = torch.full_like(part.parameters[0], float(step % 7))
        ours.step()
        schedule.after_batch()
        seen.append([(group["lr"], group.get("momentum")) for group in ours.param_groups])
    return seen


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_a_cycle_is_continued_where_it_was(optimizer):
    whole = cyclic(optimizer)
    first, rest = walk(*whole, range(370)), walk(*whole, range(370, 600))
    parts, ours, schedule = cyclic(optimizer)
    assert walk(parts, ours, schedule, range(370)) == first
    state, weights = (ours.state_dict(), schedule.state_dict()), [part.parameters[0].detach().clone() for part in parts]
    parts, ours, schedule = cyclic(optimizer, state)
    for part, weight in zip(parts, weights, strict=True):
        part.parameters[0].data.copy_(weight)
    assert walk(parts, ours, schedule, range(370, 600)) == rest
    assert all(torch.equal(a.parameters[0], b.parameters[0]) for a, b in zip(parts, whole[0], strict=True))


def test_a_cycle_with_a_range_of_its_own_for_every_group_is_continued_so():
    """Runs from before the range was one for all."""
    settings = config(optimizer="sgd", scheduler="cyclic")
    older = create_optimizer(groups(), settings)
    rates = [group["lr"] for group in older.param_groups]
    schedule = CyclicLR(older, [rate / 4 for rate in rates], rates, step_size_up=500, cycle_momentum=False)
    plain = {key: value for key, value in schedule.state_dict().items() if key != "_scale_fn_custom"}
    _, ours, continued = cyclic("sgd", (older.state_dict(), plain | {"_scale_fn_custom": None}))
    for _ in range(250):
        continued.after_batch()
    assert [group["lr"] for group in ours.param_groups] == pytest.approx([0.0625, 6.25])
    assert [group["momentum"] for group in ours.param_groups] == [0.9, 0.9]


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
