"""``--print-config``: every setting that a command would run with, and what set it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from dml.cli.layers import TYPED, Layer, table_of
from dml.cli.parser import Parser
from dml.config import OWN_SECTIONS, SECTIONS, TrainConfig, sections_of
from dml.recipes import RECIPES


def show_settings(parser: Parser, config: TrainConfig, layers: Sequence[Layer]) -> None:
    """Print the settings of a training, or of the evaluation of a classifier, and end the program."""
    recipe = f"{parser.prog}: recipe {config.recipe} ({RECIPES[config.recipe].title})"
    parser.finish(f"{recipe}\n{table_of(_settings(config, layers), layers)}")


def recorded_layers(record: Mapping[str, Any], typed: Mapping[str, Any]) -> list[Layer]:
    """The settings of a run, as its ``config.json`` has them, and what was typed in place of some."""
    sections = (record.get(name) or {} for name in (*SECTIONS, *OWN_SECTIONS))
    loss = dict(record.get("loss") or {})
    options = loss.pop("options", {})
    values = {name: value for section in (*sections, loss, options) for name, value in section.items()}
    return [Layer("the run's record", values), Layer(TYPED, typed)]


def _settings(config: TrainConfig, layers: Sequence[Layer]) -> dict[str, dict[str, Any]]:
    """Section → setting → value, of those that the entry point has flags for."""
    own = sections_of(config.program)
    without = frozenset().union(*(section.switch.without for section in own.values()))
    known = {name for layer in layers for name in layer.values}
    settings = {}
    for item in fields(config):
        section = getattr(config, item.name)
        if item.name == "loss":
            values = {name: value for name, value in vars(section).items() if name in known} | section.options
        elif item.name in SECTIONS or (item.name in own and section is not None):
            values = {name: value for name, value in vars(section).items() if name not in without}
        else:
            continue
        settings[item.name] = values
    return settings
