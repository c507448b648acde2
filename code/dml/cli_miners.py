"""The part of train.py's command line that is about miners: ``--batch_mining`` and the miners' options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from dml.flags import kind_of, spellings_of
from dml.losses.spec import LossSpec
from dml.miners import MINERS, MinerSpec

_PREFIX = "miner."


def add_miners(parser: argparse.ArgumentParser) -> None:
    """``--batch_mining`` and every option of every miner."""
    group = parser.add_argument_group("Tuples of the batch, for losses that take some")
    group.add_argument(
        *spellings_of("batch_mining"),
        help=f"miner that picks them, one of {', '.join(MINERS)} (default: the loss's first)",
        metavar="NAME",
    )
    for flag, owners in _owners().items():
        name, first = owners[0]
        kind = type(first.default(flag))
        defaults = f"{', '.join(owner for owner, _ in owners)}; default {first.default(flag)}"
        group.add_argument(
            *spellings_of(flag),
            dest=_PREFIX + flag,
            help=f"{first.options[flag].help} ({defaults})",
            **({"metavar": kind.__name__.upper()} | kind_of(kind)),
        )


def take_miner_options(typed: dict[str, Any]) -> dict[str, Any]:
    """Take the miners' options out of what was typed: flag → value."""
    return {dest.removeprefix(_PREFIX): typed.pop(dest) for dest in list(typed) if dest.startswith(_PREFIX)}


def settle_miner(loss: str, spec: LossSpec, miner: str | None, options: Mapping[str, Any]) -> str | None:
    """The miner of ``loss``: that asked for, or its first; None for a loss without tuples.

    Raises:
        ValueError: a miner that the loss cannot use, or an option of another miner.
        UnknownNameError: no such miner.
    """
    if not spec.tuples:
        if miner is not None or options:
            flag = "batch_mining" if miner is not None else next(iter(options))
            raise ValueError(f"--{flag} is not used by --loss {loss}, which takes no tuples of the batch")
        return None
    miner = spec.miners[0] if miner is None else MINERS.canonical(miner)
    if miner not in spec.miners:
        raise ValueError(f"--batch_mining {miner} cannot serve --loss {loss}; it takes {', '.join(spec.miners)}")
    for flag in options:
        if flag not in MINERS[miner].options:
            _refuse(flag, miner)
    return miner


def _refuse(flag: str, miner: str) -> NoReturn:
    users = ", ".join(name for name, _ in _owners()[flag])
    raise ValueError(f"--{flag} is not used by --batch_mining {miner}, but by {users}")


def _owners() -> dict[str, list[tuple[str, MinerSpec]]]:
    """Each option that any miner has → the miners that have it."""
    owners: dict[str, list[tuple[str, MinerSpec]]] = {}
    for name, spec in MINERS.items():
        for flag in spec.options:
            owners.setdefault(flag, []).append((name, spec))
    return owners
