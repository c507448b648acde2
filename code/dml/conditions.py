"""Where a flag is used, declared beside the flag, and what is said to who types it elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Settings = Mapping[str, Any]
"""Every setting of a run, name → value, as it is used (``dml.cli.unused``); those of other programs are missing."""


@dataclass(frozen=True)
class Condition:
    """A flag is used only in runs whose settings it holds for.

    Attributes:
        holds: settings → whether.
        otherwise: what is said after the flag's name where it does not hold; {setting} stands for a value.
        refused: whether the flag is an error there, and not just a warning: of flags of another method.
        setting, values: of a condition on one setting alone, which, and those of its values with which it holds.
    """

    holds: Callable[[Settings], bool]
    otherwise: str
    refused: bool = False
    setting: str = ""
    values: tuple[Any, ...] = ()

    def said(self, settings: Settings) -> str:
        """``otherwise`` with the values of ``settings``, as they would be typed."""
        return self.otherwise.format_map({name: as_typed(value) for name, value in settings.items()})


def when(setting: str, *values: Any, refused: bool = False) -> Condition:
    """Used with these values of another setting."""
    lacks, link = ("is not used", "by") if refused else ("has no effect", "with")
    instead = "" if all(isinstance(value, bool) for value in values) else f", but {link} {', '.join(values)}"
    otherwise = f"{lacks} {link} {flag_of(setting)} {{{setting}}}{instead}"
    return Condition(lambda settings: settings.get(setting) in values, otherwise, refused, setting, values)


def unless(setting: str, *values: Any) -> Condition:
    """Used but with these values of another setting."""
    otherwise = f"has no effect with {flag_of(setting)} {{{setting}}}"
    return Condition(lambda settings: settings.get(setting) not in values, otherwise)


def while_unset(setting: str) -> Condition:
    """Used where another setting is not given."""
    return Condition(lambda settings: not settings.get(setting), f"has no effect beside {flag_of(setting)}")


def flag_of(dest: str) -> str:
    """The spelling with dashes of a setting, or of the destination of a flag."""
    return "--" + dest.rpartition(".")[2].replace("_", "-")


def as_typed(value: Any) -> str:
    """A value as it would be typed."""
    if isinstance(value, tuple | list):
        return " ".join(map(as_typed, value))
    if isinstance(value, bool):
        return str(int(value))
    return f"{value:g}" if isinstance(value, float) else str(value)
