"""The part of train.py's command line that is about miners: ``--batch_mining`` and the miners' options."""

from __future__ import annotations

from typing import Any

from dml.cli.choices import add_choice, refuse_foreign_options, take_options
from dml.cli.parser import Parser
from dml.errors import UserError
from dml.losses.spec import LossSpec
from dml.miners import MINERS


def add_miners(parser: Parser) -> None:
    """``--batch_mining`` and every option of every miner."""
    title = "Tuples of the batch, for losses that take some"
    add_choice(
        parser, MINERS, flag="batch_mining", dest="miner", default="the loss's own", title=title, aliases=("miner",)
    )


def take_miner(typed: dict[str, Any], loss: str, spec: LossSpec) -> tuple[str | None, dict[str, Any]]:
    """Take the miner of ``loss`` out of what was typed: that asked for, or its first; and the options.

    Returns:
        the miner's name, None for a loss without tuples; flag → value.

    Raises:
        UserError: a miner that the loss cannot use, or an option of another miner.
        UnknownNameError: no such miner.
    """
    miner, options = typed.pop("miner", None), take_options(typed, "miner")
    if not spec.tuples:
        if miner is not None or options:
            flag = "batch_mining" if miner is not None else next(iter(options))
            raise UserError(f"--{flag} is not used by --loss {loss}, which takes no tuples of the batch")
        return None, {}
    miner = spec.default_miner if miner is None else MINERS.canonical(miner)
    if miner is None:
        if options:
            raise UserError(f"--{next(iter(options))} is used with --batch_mining (--miner) {spec.usable_miners} only")
        return None, {}
    if not spec.can_use(miner):
        raise UserError(f"--batch_mining {miner} cannot serve --loss {loss}; it takes {spec.usable_miners}")
    refuse_foreign_options(options, MINERS[miner], miner, MINERS, chosen_by="--batch_mining")
    return miner, options
