"""Losses whose published spellings differ by a letter: what else differs is said to who types one of them."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dml.conditions import as_typed
from dml.config import SECTIONS, TrainConfig
from dml.errors import UserError
from dml.losses import DISTILLED, LOSSES, choose_loss
from dml.recipes import RECIPES

Resolve = Callable[[dict[str, Any]], TrainConfig]
MOST_NAMED = 12
# What changes no training.
NOT_COMPARED = ("metrics", "train_metrics", "workers", "cache_images")


def twins_of(loss: str, *, memory: bool = False) -> list[str]:
    """The spellings of ``--loss`` that are ``loss`` but for case and separators, and mean another function or recipe;
    one for each meaning.

    Args:
        memory: whether over a cross-batch memory, where they can.
    """
    plain = loss.removesuffix(DISTILLED)
    meanings = {_meaning(plain, memory=memory): plain}
    for name in (*LOSSES.aliases, *LOSSES):
        if _letters(name) == _letters(plain):
            meanings.setdefault(_meaning(name, memory=memory), name)
    return [name + loss.removeprefix(plain) for name in meanings.values() if name != plain]


def remarks_on_twins(typed: Mapping[str, Any], config: TrainConfig, resolve: Resolve) -> list[str]:
    """A line for each twin of the loss that was typed: what it is, and what it would have done otherwise. None where
    the flags leave no difference.

    Args:
        typed: the flags, destination → value.
        config: what ``resolve`` made of them.
    """
    if "loss" not in typed:
        return []
    twins = twins_of(config.loss.loss, memory=config.loss.memory)
    remarks = (_remark(twin, config, _resolved(twin, typed, resolve)) for twin in twins)
    return [remark for remark in remarks if remark is not None]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


def _meaning(name: str, *, memory: bool) -> tuple[str, str]:
    """The function that a spelling stands for, and whose defaults apply."""
    plain = name.removesuffix(DISTILLED)
    choice = choose_loss(plain, memory=memory and LOSSES[plain].with_memory is not None)
    return choice.name, choice.recipe


def _resolved(twin: str, typed: Mapping[str, Any], resolve: Resolve) -> TrainConfig | None:
    """The twin's settings under the same flags, less those that belong to a loss; None if it does not take the rest."""
    shared = {name: value for name, value in typed.items() if "." not in name and name != "miner"} | {"loss": twin}
    if LOSSES[twin.removesuffix(DISTILLED)].with_memory is None:
        shared.pop("memory", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return resolve(shared)
        except UserError:
            return None


def _remark(twin: str, config: TrainConfig, other: TrainConfig | None) -> str | None:
    loss, memory = config.loss.loss, config.loss.memory
    if other is None:
        return f"{loss} is not {twin}, which does not take these flags"
    ours, theirs = (RECIPES[recipe].title for recipe in (config.recipe, other.recipe))
    whose = f"{loss} is {ours}'s; {theirs}'s is {twin}" if ours != theirs else f"{loss} is not {twin}"
    told, hint = _differences(config, other), ""
    if told and config.recipe != other.recipe:
        hint = f"; --recipe {other.recipe} beside --loss {loss} takes these settings alone"
    if _meaning(loss, memory=memory)[0] != _meaning(twin, memory=memory)[0]:
        told = ["another function", *told]
    return f"{whose} ({', '.join(told)}){hint}" if told else None


def _differences(config: TrainConfig, other: TrainConfig) -> list[str]:
    """Settings of the shared sections that the twin has otherwise, the first ones by name."""
    differing = []
    for section in SECTIONS:
        ours, theirs = getattr(config, section), getattr(other, section)
        names: Iterable[str] = (item.name for item in dataclasses.fields(ours) if item.name not in NOT_COMPARED)
        differing += [
            f"{name} {_value(getattr(theirs, name))} instead of {_value(getattr(ours, name))}"
            for name in names
            if getattr(ours, name) != getattr(theirs, name)
        ]
    more = len(differing) - MOST_NAMED
    return differing if more <= 0 else [*differing[:MOST_NAMED], f"and {more} more settings"]


def _value(value: Any) -> str:
    return "unset" if value is None else as_typed(value)
