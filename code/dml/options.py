"""Flags that set one argument of what a registry builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from dml.conditions import Condition
from dml.ranges import Range


@dataclass(frozen=True)
class Option:
    """A flag that sets one keyword argument; its default is that argument's.

    Attributes:
        argument: name of the keyword argument.
        help: one line for ``--help``.
        aliases: historic flag names, without dashes.
        within: of a number: the values that it may have.
        used_if: conditions on the other settings, all of which must hold for it to be used.
    """

    argument: str
    help: str
    aliases: tuple[str, ...] = ()
    within: Range | None = None
    used_if: tuple[Condition, ...] = ()

    def default_in(self, build: Callable) -> object:
        """The argument's default in the signature of ``build``."""
        return inspect.signature(build).parameters[self.argument].default


class Spec(Protocol):
    """An entry of a registry of losses or miners, as far as its options go."""

    options: Mapping[str, Option]

    def default(self, option: str) -> object:
        """The default of an option."""


def with_defaults(spec: Spec, options: Mapping[str, object]) -> dict[str, object]:
    """Every option of ``spec``: flag → its value in ``options``, or else its default."""
    return {flag: options[flag] if flag in options else spec.default(flag) for flag in spec.options}
