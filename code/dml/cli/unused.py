"""Flags that the other settings of a run leave without effect: said in one line, from what is declared beside them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from typing import Any

from dml.cli.parser import Parser
from dml.conditions import Settings, flag_of
from dml.config import OWN_SECTIONS, SECTIONS, ConfigWarning, TrainConfig
from dml.errors import UserError
from dml.losses import choose_loss
from dml.losses.transfer import TRANSFER_LOSSES
from dml.models.backbones import BACKBONES, traits_of


def warn_of_unused(parser: Parser, typed: Collection[str], settings: Settings, arguments: Sequence[str] = ()) -> None:
    """Check every flag that was typed against its conditions.

    Args:
        parser: holds the conditions.
        typed: destinations of the flags.
        settings: every setting of the run, see ``settings_of``.
        arguments: the command line, which says how the flags were spelled.

    Raises:
        UserError: a flag of a method that the run does not use.

    Warns:
        ConfigWarning: a flag that has no effect; one line each.
    """
    flags = parser.flags_typed(arguments)
    for dest in typed:
        for condition in parser.conditions.get(dest, ()):
            if condition.holds(settings):
                continue
            told = f"{flags.get(dest, flag_of(dest))} {condition.said(settings)}"
            if condition.refused:
                raise UserError(told)
            warnings.warn(told, ConfigWarning)
            break


def settings_of(config: TrainConfig) -> dict[str, Any]:
    """Every setting of a training by its name, options of the loss and of its miner among them.

    Beside them stand the ``program``, the flags that turn sections on, and what the loss and the network are:
    ``distilled``, ``has_parameters``, ``has_proxies``, ``compares``, ``has_batch_norm``.
    """
    found: dict[str, Any] = {"program": config.program}
    flags = {name: section.switch.flag for name, section in OWN_SECTIONS.items() if section.switch.flag}
    found |= {flag: getattr(config, name) is not None for name, flag in flags.items()}
    for name in (*SECTIONS, *OWN_SECTIONS):
        if (section := getattr(config, name)) is not None:
            found |= vars(section)
    return found | vars(config.loss) | config.loss.options | _facts_of_loss(config) | _facts_of_network(config)


def _facts_of_loss(config: TrainConfig) -> dict[str, Any]:
    if config.program == "train.py":
        choice = choose_loss(config.loss.loss, memory=config.loss.memory)
        learns = choice.spec.lr_scale is not None
        return {
            "distilled": choice.distilled,
            "has_parameters": learns,
            "has_proxies": learns and choice.spec.has_proxies,
            "compares": "embeddings",
        }
    if config.program == "train_target.py":
        spec = TRANSFER_LOSSES[config.loss.loss]
        anchored = spec.with_proxy_anchor
        return {"has_parameters": anchored, "has_proxies": anchored, "compares": spec.needs}
    return {"has_parameters": False, "has_proxies": False, "compares": "embeddings"}


def _facts_of_network(config: TrainConfig) -> dict[str, Any]:
    name = config.model.model
    known = config.classification is None and name in BACKBONES
    return {"has_batch_norm": traits_of(name).has_batch_norm if known else True}
