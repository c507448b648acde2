"""What the settings of a run are made of: frozen dataclasses, one a concern, whose fields are the flags.

A field's name is its flag's (``batch_size`` is ``--batch-size`` and ``--batch_size``) and is unique over all
sections; ``option`` keeps the help line and the historic spellings beside it. Checks of single values and of
values against each other happen at construction, before any data is read.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import field
from typing import Any

from dml.errors import UserError


class ConfigWarning(UserWarning):
    """A setting that has no effect or is likely a slip."""


_THE_DEFAULT = object()


def option(
    default: Any,
    help: str,
    *,
    aliases: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    before: Any = _THE_DEFAULT,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: used when neither the user, nor the data set, nor the recipe says otherwise.
        help: one line.
        aliases: historic flag names, without dashes, beside the field's own.
        choices: the valid values, where they are few and fixed.
        before: what runs did that were recorded before there was the setting, if not ``default``.
    """
    metadata = {"help": help, "aliases": aliases, "choices": choices}
    return field(default=default, metadata=metadata if before is _THE_DEFAULT else metadata | {"before": before})


def require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def like(section: type, name: str, default: Any) -> Any:
    """The same flag as field ``name`` of ``section``, with another default."""
    original = next(item for item in dataclasses.fields(section) if item.name == name)
    return field(default=default, metadata=original.metadata)


class Section:
    """Checks the ``choices`` of every field of a section, and that numbers are finite."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value, choices = getattr(self, item.name), item.metadata.get("choices")
            if choices and value is not None and value not in choices:
                flag = item.name.replace("_", "-")
                raise UserError(f"--{flag} {value!r} is not one of {', '.join(choices)}")
            if isinstance(value, float) and not math.isfinite(value):
                raise UserError(f"--{item.name.replace('_', '-')} must be a finite number, got {value}")
