"""Where the value of a setting comes from: layers of defaults, each over the one before, over all what was typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dml.conditions import as_typed
from dml.redact import redact

TYPED = "typed"
WORKED_OUT = "worked out from others"


@dataclass(frozen=True)
class Layer:
    """Values of some settings, and what sets them: "recipe lsd". Of several layers' values the last counts."""

    name: str
    values: Mapping[str, Any]


def set_by(name: str, value: Any, layers: Sequence[Layer]) -> str:
    """The layer that the effective ``value`` of a setting comes from."""
    for layer in reversed(layers):
        if name in layer.values:
            is_its = layer.name == TYPED or _plain(layer.values[name]) == _plain(value)
            return layer.name if is_its else WORKED_OUT
    return WORKED_OUT


def table_of(settings: Mapping[str, Mapping[str, Any]], layers: Sequence[Layer]) -> str:
    """A line for each setting: its name, its value, and what set it.

    Args:
        settings: section → setting → effective value.
        layers: weakest first.
    """
    rows = [
        (f"{section}.{name}", _shown(redact(value)), set_by(name, value, layers))
        for section, values in settings.items()
        for name, value in values.items()
    ]
    rows.insert(0, ("setting", "value", "set by"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    widths[1] = min(widths[1], 40)  # a long path or list of metrics moves its own line alone
    return "".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {layer}\n" for name, value, layer in rows)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    if value is None:
        return "unset"
    return as_typed(value) or "(empty)"
