"""What a registry's entry builds, under which names, and what can be set of it: by flag, or by Python argument."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dml.conditions import Condition
from dml.errors import UserError
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


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How a module describes, at its end, what it holds; ``Registry.collected`` gathers such descriptions.

    Attributes:
        kind: what is described, in the singular, for messages.
        name: in the registry.
        build: called with the options' arguments by keyword, and with others that each kind says.
        spellings: published ones, the best known first; each selects this entry.
        options: flag name without dashes → what it sets.
    """

    kind: ClassVar[str]

    name: str
    build: Callable[..., Any]
    spellings: tuple[str, ...] = ()
    options: Mapping[str, Option] = field(default_factory=dict)

    def takes(self, argument: str) -> bool:
        """Whether ``build`` has an argument of this name."""
        return argument in inspect.signature(self.build).parameters

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        return inspect.signature(self.build).parameters[self.options[option].argument].default

    def complete(self, options: Mapping[str, object]) -> dict[str, object]:
        """Every option: flag → its value in ``options``, where others may stand too, or else its default."""
        return {flag: options[flag] if flag in options else self.default(flag) for flag in self.options}

    def own(self, options: Mapping[str, object]) -> dict[str, object]:
        """Those of ``options``, among which others may stand, that are options of this entry."""
        return {flag: value for flag, value in options.items() if flag in self.options}

    def arguments(self, options: Mapping[str, object]) -> dict[str, object]:
        """Flag → value, as keyword arguments of ``build``.

        Raises:
            UserError: an option that there is not; the message lists those that there are.
        """
        self._require(options, self.options)
        given = {self.options[flag].argument: value for flag, value in options.items()}
        return {argument: value for argument, value in given.items() if self.takes(argument)}

    def by_flag(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The same options given by argument, as ``arguments`` takes them: flag → value.

        Raises:
            UserError: an option that there is not, listing those that there are, or a value out of its range.
        """
        flags = {option.argument: flag for flag, option in self.options.items() if self.takes(option.argument)}
        self._require(arguments, flags)
        for argument, value in arguments.items():
            if (within := self.options[flags[argument]].within) is not None:
                within.check(argument, value)
        return {flags[argument]: value for argument, value in arguments.items()}

    def _require(self, given: Iterable[str], known: Collection[str]) -> None:
        for name in given:
            if name not in known:
                has = f"its options are {', '.join(sorted(known))}" if known else "it has none"
                also = f" ({', '.join(self.spellings)})" if self.spellings else ""
                raise UserError(f"{self.kind} {self.name}{also} has no option {name!r}: {has}")
