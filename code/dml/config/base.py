"""What the settings of a run are made of: frozen dataclasses, one a concern, whose fields are the flags.

A field's name is its flag's (``batch_size`` is ``--batch-size`` and ``--batch_size``) and is unique over all
sections; ``option`` keeps beside it the help line, the historic spellings, the values that it may have and the other
settings that it is used with. Checks of single values and of values against each other happen at construction, before
any data is read; of flags without effect the command line tells (``dml.cli.unused``).
"""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any, ClassVar

from dml.conditions import Condition, flag_of
from dml.config.switches import Switch
from dml.errors import UserError
from dml.ranges import Range


class ConfigWarning(UserWarning):
    """A setting that has no effect or is likely a slip."""


_THE_DEFAULT = object()


def option(
    default: Any,
    help: str,
    *,
    aliases: tuple[str, ...] = (),
    choices: tuple[str, ...] = (),
    within: Range | None = None,
    used_if: Condition | tuple[Condition, ...] = (),
    before: Any = _THE_DEFAULT,
) -> Any:
    """A dataclass field that is also a flag.

    Args:
        default: used when neither the user, nor the data set, nor the recipe says otherwise.
        help: one line.
        aliases: historic flag names, without dashes, beside the field's own.
        choices: the valid values, where they are few and fixed.
        within: of a number, or of each of several: the values that it may have, unset excepted.
        used_if: conditions on the other settings, all of which must hold for it to be used.
        before: what runs did that were recorded before there was the setting, if not ``default``.
    """
    used_if = (used_if,) if isinstance(used_if, Condition) else used_if
    metadata = {"help": help, "aliases": aliases, "choices": choices, "within": within, "used_if": used_if}
    return field(default=default, metadata=metadata if before is _THE_DEFAULT else metadata | {"before": before})


def require(condition: bool, message: str) -> None:
    if not condition:
        raise UserError(message)


def like(section: type[Section], name: str, default: Any) -> Any:
    """The same flag as field ``name`` of ``section``, with another default."""
    original = next(item for item in dataclasses.fields(section) if item.name == name)
    conditions = (*section.conditions(), *original.metadata["used_if"])
    return field(default=default, metadata=original.metadata | {"used_if": conditions})


class Section:
    """Checks the ``choices`` of every field of a section, and the range of every number.

    Attributes:
        switch: of a section that only some runs have: what turns it on.
    """

    switch: ClassVar[Switch | None] = None

    @classmethod
    def conditions(cls) -> tuple[Condition, ...]:
        """Under which its flags are used, each beside its own."""
        return () if cls.switch is None or cls.switch.condition is None else (cls.switch.condition,)

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value, choices = getattr(self, item.name), item.metadata.get("choices")
            if choices and value is not None and value not in choices:
                raise UserError(f"{flag_of(item.name)} {value!r} is not one of {', '.join(choices)}")
            if (within := item.metadata.get("within")) is not None:
                within.check(flag_of(item.name), value)
