"""The machinery of command lines: flags made from the fields of ``dml.config``.

Every flag has a spelling with dashes and one with underscores, prefixes are not completed, and the last of a
repeated flag counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
import typing
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from dml.cli.help import ALL, Help
from dml.cli.layers import TYPED, Layer
from dml.conditions import Condition, flag_of
from dml.config import SECTIONS, sections_of
from dml.config.base import Section
from dml.errors import UserError
from dml.places import from_home
from dml.ranges import Range

MAY_BE_EMPTY = ("remark", "project", "group")
"""Flags of text that may be left blank; nothing else is meant by an empty file, folder or name."""

EMPTY = "the value is empty (an unset variable of the shell?)"
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def parse_bool(text: str) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case. NOTE: the published parser read the text False as true."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither {'/'.join(TRUE)} nor {'/'.join(FALSE)}")


_RAISING: ContextVar[bool] = ContextVar("_RAISING", default=False)


@contextmanager
def raising() -> Iterator[None]:
    """Within it a command line that does not fit raises a UserError, in place of ending the program."""
    token = _RAISING.set(True)
    try:
        yield
    finally:
        _RAISING.reset(token)


class Parser(argparse.ArgumentParser):
    """Without completion of prefixes; an unknown flag is answered with the nearest known one, and a number out of
    range with what it must be.

    Attributes:
        ranges: destination → the values that its numbers may have.
        conditions: destination → the other settings that it is used with (``dml.cli.unused``).
        topics: word → the group of flags that ``--help`` shows for it.
        brief: destination → a shorter help line, for ``--help`` alone.
    """

    def __init__(self, *, layers: Callable[[dict[str, Any]], Sequence[Layer]] | None = None, **options: Any):
        """
        Args:
            layers: what was typed → the defaults that hold with it, weakest first, and itself; None: of a program with
                few flags, whose help has no topics.
            options: argparse's.
        """
        self.ranges: dict[str, Range] = {}
        self.conditions: dict[str, tuple[Condition, ...]] = {}
        self.topics: dict[str, argparse._ArgumentGroup] = {}
        self.brief: dict[str, str] = {}
        self.layers = layers
        options |= {"allow_abbrev": False, "argument_default": argparse.SUPPRESS, "usage": "%(prog)s [FLAGS]"}
        super().__init__(add_help=layers is None, **options)
        if layers is not None:
            self.add_argument("--help", "-h", action=Help)

    def topic(self, word: str, title: str) -> argparse._ArgumentGroup:
        """A group of flags that ``--help word`` shows."""
        self.topics[word] = self.add_argument_group(title)
        return self.topics[word]

    def defaults_with(self, typed: Mapping[str, Any]) -> dict[str, Any]:
        """Setting → the default that holds with what was typed; ends with a message if that does not fit."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                layers = self.layers(dict(typed))
            except UserError as error:
                self.error(str(error))
        return {name: value for layer in layers if layer.name != TYPED for name, value in layer.values.items()}

    def declare(self, dest: str, *, within: Range | None = None, used_if: tuple[Condition, ...] = ()) -> None:
        """Note the range of the flag of that destination, and the conditions that it is used under, if any."""
        if within is not None:
            self.ranges[dest] = within
        if used_if:
            self.conditions[dest] = used_if

    def error(self, message: str) -> NoReturn:
        """One line, with one spelling of the flag, and exit status 2; see also ``raising``."""
        message = re.sub(r"(argument --[\w-]+)(?:/--[\w-]+)+", r"\1", message)
        if _RAISING.get():
            raise UserError(message) from None
        topic = f" {ALL}" if self.topics else ""
        self.exit(2, f"{self.prog}: error: {message} ({self.prog} --help{topic} lists all flags)\n")

    def finish(self, text: str) -> NoReturn:
        """Print what was asked for in place of a run, and end with status 0; see also ``raising``."""
        if _RAISING.get():
            raise UserError("--print-config prints and ends: from Python dml.resolve gives every setting")
        print(text, end="")
        self.exit()

    def parse_typed(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What was typed, dest → value; nothing for flags left out."""
        if "--" in arguments:
            word = ([*arguments, "FLAG"])[list(arguments).index("--") + 1]
            self.error(f"a lone -- before {word!r}: write --{word}, without the blank")
        namespace, unknown = self.parse_known_args(arguments)
        if unknown:
            flag = unknown[0].split("=")[0]
            close = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.6)
            self.error(f"unknown argument {flag}" + (f" (did you mean {close[0]}?)" if close else ""))
        typed = vars(namespace)
        try:
            self._check_values(typed, self.flags_typed(arguments))
        except UserError as error:
            self.error(str(error))
        return {name: _from_home(value) for name, value in typed.items()}

    def flags_typed(self, arguments: Sequence[str]) -> dict[str, str]:
        """Destination → the flag as it was typed: of several spellings the last, which counts."""
        flags = (word.partition("=")[0] for word in arguments)
        actions = self._option_string_actions
        return {actions[flag].dest: flag for flag in flags if flag in actions}

    def _check_values(self, typed: Mapping[str, Any], flags: Mapping[str, str]) -> None:
        """UserError for text that is empty, and for a number out of its range."""
        for dest, value in typed.items():
            flag = flags.get(dest, flag_of(dest))
            if value == "" and dest not in MAY_BE_EMPTY:
                raise UserError(f"{flag}: {EMPTY}")
            if dest in self.ranges:
                self.ranges[dest].check(flag, value)


def place(text: str) -> Path:
    """The type of a flag that names a file or folder, in the user's home if it begins with ``~``: a shell says so of
    ``--flag ~/x`` but not of ``--flag=~/x``. ArgumentTypeError for nothing, and for the home of nobody."""
    if not text:
        raise argparse.ArgumentTypeError(EMPTY)
    try:
        return from_home(text)
    except UserError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _from_home(value: Any) -> Any:
    """A value that was typed, whatever the flag: what begins with ``~`` and a user's name or none is in that home."""
    if isinstance(value, list):
        return [_from_home(item) for item in value]
    if not isinstance(value, str | Path):
        return value
    return type(value)(os.path.expanduser(value))  # noqa: PTH111 (Path refuses a ~ that is none of a user)


def spellings_of(*names: str) -> list[str]:
    """``--batch-size --batch_size …`` for the given names, each once."""
    flags = [f"--{name.replace('_', '-')}" for name in names] + [f"--{name.replace('-', '_')}" for name in names]
    return list(dict.fromkeys(flags))


def kind_of(hint: Any) -> dict[str, Any]:
    """argparse's arguments for a field's type: optional and tuple types included."""
    if typing.get_origin(hint) is tuple:
        return {"type": typing.get_args(hint)[0], "nargs": "+"}
    inner = [part for part in typing.get_args(hint) if part is not type(None)]
    if inner:
        return kind_of(inner[0])
    if hint is bool:
        return {"type": parse_bool, "nargs": "?", "const": True, "metavar": "BOOL"}
    return {"type": hint}


def add_sections(parser: Parser, wording: Mapping[str, str] = MappingProxyType({})) -> None:
    """A flag for each setting of the entry point ``parser.prog``; ``wording`` as for ``add_section``."""
    own = sections_of(parser.prog)
    without = frozenset().union(*(section.switch.without for section in own.values()))
    for name, section in (SECTIONS | own).items():
        add_section(parser, name, section, without, wording)


def add_section(
    parser: Parser,
    topic: str,
    section: type[Section],
    without: Collection[str] = (),
    wording: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A flag for each field of a section of ``dml.config``, except for the fields ``without``; ahead of them that which
    turns the section on.

    Args:
        topic: what ``--help`` knows them by.
        wording: field → its help line, where the section's own does not fit the entry point.
    """
    group = parser.topic(topic, (section.__doc__ or "").split("\n")[0].rstrip("."))
    if section.switch is not None and section.switch.flag:
        group.add_argument(*spellings_of(section.switch.flag), help=section.switch.help, **kind_of(bool))
    hints, conditions = typing.get_type_hints(section), section.conditions()
    for item in dataclasses.fields(section):
        if item.name in without:
            continue
        choices = item.metadata["choices"]
        text = wording.get(item.name, item.metadata["help"]) + (f" ({', '.join(choices)})" if choices else "")
        kind = kind_of(hints[item.name])
        if "metavar" not in kind:
            kind["metavar"] = item.name.upper() if kind["type"] is str else kind["type"].__name__.upper()
        spellings = spellings_of(item.name, *item.metadata["aliases"])
        group.add_argument(*spellings, dest=item.name, help=text.replace("%", "%%"), **kind)
        parser.declare(item.name, within=item.metadata["within"], used_if=(*conditions, *item.metadata["used_if"]))
