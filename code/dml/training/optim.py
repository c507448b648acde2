"""Optimisers and learning-rate schedules, with the constants that the published trainers fix (METHODS §24)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    CyclicLR,
    ExponentialLR,
    LRScheduler,
    MultiStepLR,
    StepLR,
)

from dml.config import OptimConfig
from dml.methods.base import ParamGroup
from dml.registry import Registry
from dml.structures import Progress
from dml.training.adamp import AdamP

# The cyclic schedule of Proxy-ISA: rates rise and fall once in 1,000 steps, and momentum goes the other way.
CYCLIC_STEPS_UP = 500
LEAST_MOMENTUM, MOST_MOMENTUM = 0.8, 0.9
WITH_MOMENTUM = ("sgd", "rmsprop")
FUSED = ("sgd", "adam", "adamw")
"""Those that have a kernel for the whole step."""


OPTIMIZERS = Registry(
    "optimizer",
    {
        "sgd": lambda groups, config, how: SGD(groups, momentum=config.sgd_momentum, nesterov=config.nesterov, **how),
        "adam": lambda groups, config, how: Adam(groups, eps=config.adam_eps, **how),
        "rmsprop": lambda groups, config, how: RMSprop(groups, alpha=0.9, momentum=0.9, **how),
        "adamw": lambda groups, config, how: AdamW(groups, **how),
        "adamp": lambda groups, config, how: AdamP(groups, nesterov=True, **how),
    },
)


def create_optimizer(param_groups: Sequence[ParamGroup], config: OptimConfig, *, fused: bool = False) -> Optimizer:
    """The optimiser over all groups that hold parameters, each at ``config.lr · lr_scale``.

    Frozen parameters are included: they have no gradient and are left alone until they are released.

    Args:
        fused: whether it takes its step in one kernel where it can, which rounds otherwise than several.
    """
    groups = [
        {
            "params": list(group.parameters),
            "lr": config.lr * group.lr_scale,
            "name": group.name,
            "clip": group.clip,
            "weight_decay": config.weight_decay if group.decay else 0.0,
        }
        for group in param_groups
        if group.parameters
    ]
    how = {"lr": config.lr} | ({"fused": True} if fused and config.optimizer in FUSED else {})
    return OPTIMIZERS[config.optimizer](groups, config, how)


class Schedule:
    """A learning-rate schedule that steps per epoch, or per batch where it is cyclic.

    Over the first ``config.lr_warmup`` epochs its rates are scaled by a factor that rises linearly to 1 with the
    optimiser's steps. The factor follows from the step alone, so that it has no state of its own.
    """

    def __init__(self, optimizer: Optimizer, config: OptimConfig):
        self.optimizer, self.warmup = optimizer, config.lr_warmup
        self.per_batch = config.scheduler == "cyclic"
        self.scheduler = _scheduler(optimizer, config)

    def factor(self, progress: Progress) -> float:
        """What the warm-up leaves of the rates at the step that ``progress`` stands before: 0 < factor ≤ 1."""
        steps = self.warmup * progress.steps_per_epoch
        return min(1.0, (progress.step + 1) / steps) if steps else 1.0

    @contextmanager
    def scaled(self, progress: Progress) -> Iterator[None]:
        """The optimiser's rates are those of this step within the context, and the schedule's own after it."""
        rates, factor = [group["lr"] for group in self.optimizer.param_groups], self.factor(progress)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        try:
            yield
        finally:
            for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
                group["lr"] = rate

    def after_batch(self) -> None:
        """Step, if the schedule goes by batches."""
        if self.per_batch:
            self._step()

    def after_epoch(self) -> None:
        """Step, if the schedule goes by epochs."""
        if not self.per_batch:
            self._step()

    def _step(self) -> None:
        with warnings.catch_warnings():
            # No optimiser step comes before where float16 scaling skipped it, or where a run is continued after
            # the last batch of an epoch; the order is right all the same.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            self.scheduler.step()

    def state_dict(self) -> dict:
        """Plain numbers only, so that a checkpoint needs no code to load."""
        plain = (int, float, str, bool, list, tuple, dict, type(None))
        return {key: value for key, value in self.scheduler.state_dict().items() if type(value) in plain}

    def load_state_dict(self, state: dict) -> None:
        """The inverse of ``state_dict``."""
        self.scheduler.load_state_dict(state)


def _scheduler(optimizer: Optimizer, config: OptimConfig) -> LRScheduler:
    if config.scheduler == "step":
        return StepLR(optimizer, step_size=config.lr_decay_step, gamma=config.lr_decay_gamma)
    if config.scheduler == "multistep":
        return MultiStepLR(optimizer, milestones=config.milestones, gamma=config.lr_decay_gamma)
    if config.scheduler == "exp":
        return ExponentialLR(optimizer, gamma=config.lr_decay_gamma)
    if config.scheduler == "cosine":
        return CosineAnnealingLR(optimizer, T_max=config.epochs)
    if config.scheduler == "cyclic":
        # As published: one range for all parameters, in which no multiple of the base rate counts.
        return CyclicLR(
            optimizer,
            base_lr=config.lr / 4,
            max_lr=config.lr,
            step_size_up=CYCLIC_STEPS_UP,
            cycle_momentum=config.optimizer in WITH_MOMENTUM,
            base_momentum=LEAST_MOMENTUM,
            max_momentum=MOST_MOMENTUM,
        )
    return ConstantLR(optimizer, factor=1.0)


def clip_gradients(optimizer: Optimizer, limit: float) -> None:
    """Cut every gradient value of the groups that are clipped to ±``limit``."""
    parameters = [p for group in optimizer.param_groups if group["clip"] for p in group["params"]]
    torch.nn.utils.clip_grad_value_(parameters, limit)
