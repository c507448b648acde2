"""Flags that choose an entry of a registry (a loss, a method, a miner), and the options of all its entries."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from dml.cli.parser import Parser, kind_of, spellings_of
from dml.cli.shared import add_recipe
from dml.errors import UserError
from dml.options import Spec
from dml.registry import OpenRegistry, Registry


def option_owners(registry: Registry[Spec]) -> dict[str, list[tuple[str, Spec]]]:
    """Each option that any entry has → the entries that have it, as people spell them."""
    owners: dict[str, list[tuple[str, Spec]]] = {}
    for name, spec in registry.items():
        spelling = registry.spelling(name)
        for option in spec.options:
            owners.setdefault(option, []).append((spelling, spec))
    return owners


def add_choice(
    parser: Parser,
    registry: Registry[Spec],
    *,
    flag: str,
    dest: str,
    default: str,
    title: str,
    aliases: Iterable[str] = (),
) -> argparse._ArgumentGroup:
    """The group of ``flag``, which names an entry of ``registry``, and of every option of all, ``<dest>.<option>``;
    of a registry that reaches into another package also ``--<dest>-args``."""
    group = parser.topic(dest, title)
    names = ", ".join([*registry.aliases, *registry])
    if isinstance(registry, OpenRegistry):
        names += f", and {registry.prefix}CLASS for every {registry.kind} of {registry.origin}"
    group.add_argument(
        *spellings_of(flag, *aliases), dest=dest, help=f"one of {names} (default {default})", metavar="NAME"
    )
    parser.brief[dest] = f"such as {', '.join(registry.aliases or registry)} (default {default})"
    for option, owners in option_owners(registry).items():
        defaults, declared = [spec.default(option) for _, spec in owners], owners[0][1].options[option]
        told = ", ".join(f"{name} {value}" for (name, _), value in zip(owners, defaults, strict=True))
        kind = type(defaults[0])
        group.add_argument(
            *spellings_of(option, *declared.aliases),
            dest=f"{dest}.{option}",
            help=f"{declared.help} ({told})",
            **({"metavar": kind.__name__.upper()} | kind_of(kind)),
        )
        parser.declare(f"{dest}.{option}", within=declared.within, used_if=declared.used_if)
    if isinstance(registry, OpenRegistry):
        group.add_argument(
            *spellings_of(f"{dest}-args"),
            dest=f"{dest}.{dest}-args",
            help=f"arguments of {registry.prefix}CLASS as JSON, such as '{{\"margin\": 0.2}}' (none)",
            metavar="JSON",
        )
    return group


def add_losses(
    parser: Parser, losses: Registry[Spec], default_loss: str, *, flag: str = "loss"
) -> argparse._ArgumentGroup:
    """The group of ``--loss``, or another flag that names one, of every option of every loss, and ``--recipe``."""
    title = "The loss and its options"
    group = add_choice(parser, losses, flag=flag, dest="loss", default=default_loss, title=title)
    add_recipe(group, parser.prog)
    return group


def take_options(typed: dict[str, Any], dest: str = "loss") -> dict[str, Any]:
    """Take the options of what ``dest`` names out of what was typed: flag → value."""
    prefix = dest + "."
    return {name.removeprefix(prefix): typed.pop(name) for name in list(typed) if name.startswith(prefix)}


def refuse_foreign_options(
    options: Iterable[str], spec: Spec, name: str, registry: Registry[Spec], *, chosen_by: str = "--loss"
) -> None:
    """UserError if any of ``options`` belongs to other entries than ``spec``, which was asked for as ``name``."""
    for option in options:
        if option not in spec.options:
            owning = option_owners(registry).get(option)  # none: of the package that the registry reaches into
            prefix = registry.prefix if isinstance(registry, OpenRegistry) else ""
            owners = ", ".join(owner for owner, _ in owning) if owning else f"{chosen_by} {prefix}CLASS"
            raise UserError(f"--{option} is not used by {chosen_by} {name}, but by {owners}")
