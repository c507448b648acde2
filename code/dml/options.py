"""Flags that set one argument of what a registry builds."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """A flag that sets one keyword argument; its default is that argument's.

    Attributes:
        argument: name of the keyword argument.
        help: one line for ``--help``.
        aliases: historic flag names, without dashes.
    """

    argument: str
    help: str
    aliases: tuple[str, ...] = ()

    def default_in(self, build: Callable) -> object:
        """The argument's default in the signature of ``build``."""
        return inspect.signature(build).parameters[self.argument].default
