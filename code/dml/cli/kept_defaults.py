"""Defaults that were made for another optimiser, schedule or start than the one that was asked for.

A recipe's constants go together. Who replaces one of them gets the others all the same, as in the published programs,
and is told of those that a flag left as they are.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Container, Mapping
from typing import Any

from dml.conditions import as_typed, flag_of
from dml.config import ConfigWarning, ModelConfig, OptimConfig

OF_RANDOM_WEIGHTS = ("lr", "bn_freeze", "warm")
"""What suits weights that have been trained, and random ones hardly."""


def warn_of_kept_defaults(defaults: Mapping[str, Any], typed: Mapping[str, Any]) -> None:
    """One warning for each of ``--optimizer``, ``--scheduler``, ``--pretrained`` and ``--lr`` that was typed otherwise
    than ``defaults`` have it, naming the defaults that it meets.

    Args:
        defaults: setting → what holds unless a flag says otherwise.
        typed: setting → what flags say.

    Warns:
        ConfigWarning: see above.
    """
    for driver, settings in (
        ("optimizer", ("lr", "weight_decay", *_used_with("optimizer", typed.get("optimizer")))),
        ("scheduler", _used_with("scheduler", typed.get("scheduler"))),
        ("pretrained", ("lr",) if typed.get("pretrained") else OF_RANDOM_WEIGHTS),
        ("lr", ("head_lr",)),
    ):
        own = _default(defaults, driver)
        is_ignored = driver == "pretrained" and (typed.get("resume") or typed.get("init_from"))
        if driver not in typed or typed[driver] == own or is_ignored:
            continue
        kept = {name: _default(defaults, name) for name in settings if name not in typed}
        kept = {flag_of(name): value for name, value in kept.items() if _acts(name, value)}
        warn_of_kept(driver, typed[driver], own, kept)


def warn_of_kept(driver: str, value: Any, own: Any, kept: Mapping[str, Any]) -> None:
    """Warn that ``kept``, flag → value, stay as they are although ``driver`` is ``value`` and no longer ``own``."""
    if kept:
        named = ", ".join(f"{flag} {_word(kept)}" for flag, kept in kept.items())
        warnings.warn(
            f"{flag_of(driver)} {_word(value)} instead of {_word(own)}: the defaults {named} stay, since no flag says"
            " otherwise",
            ConfigWarning,
        )


def warn_of_short_training(optim: OptimConfig, typed: Container[str]) -> None:
    """Warn of what a training is too short for: of a rate that never decays, if a flag says when it is to; of a
    backbone that never trains.

    Args:
        typed: names of the settings that flags say; what only defaults say is no news to the user.

    Warns:
        ConfigWarning: see above.
    """
    epochs = optim.epochs
    if optim.warm >= epochs and ("warm" in typed or "epochs" in typed):
        warnings.warn(f"--warm {optim.warm} covers all {epochs} epochs: the backbone never trains", ConfigWarning)
    if "lr_decay_step" in typed and optim.scheduler == "step" and optim.lr_decay_step >= epochs:
        warnings.warn(
            f"--lr-decay-step {optim.lr_decay_step} lies beyond the {epochs} epochs: the rate never decays;"
            " --scheduler cosine fits any length",
            ConfigWarning,
        )


def _used_with(driver: str, value: Any) -> list[str]:
    """The settings of the optimisation that some values of ``driver`` use, and that ``value`` is among."""
    return [
        item.name
        for item in dataclasses.fields(OptimConfig)
        for condition in item.metadata["used_if"]
        if condition.setting == driver and value in condition.values
    ]


def _default(defaults: Mapping[str, Any], name: str) -> Any:
    return defaults.get(name, getattr(OptimConfig, name, getattr(ModelConfig, name, None)))


def _acts(name: str, value: Any) -> bool:
    """Whether a default does anything: of no ``--warm`` nobody needs to hear, but of ``--nesterov 0``."""
    return name in ("nesterov", "milestones") or value not in (None, False, 0, -1)


def _word(value: Any) -> str:
    """As it would be typed."""
    return as_typed(value) if value != () else "(none: the rate never decays)"
