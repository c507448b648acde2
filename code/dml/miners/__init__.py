"""Miners by name: which tuples of a batch a loss is given. A new one is one file, one line of ``MINERS``, one test."""

from __future__ import annotations

from collections.abc import Mapping

from dml.errors import UserError
from dml.miners.contract import Miner, PairSets, Triplets
from dml.miners.library import PREFIX, library_miner
from dml.miners.spec import MinerSpec
from dml.registry import OpenRegistry

__all__ = ["MINERS", "Miner", "MinerSpec", "PairSets", "Triplets", "create_miner"]


class Miners(OpenRegistry[MinerSpec]):
    """The miners written out here, and those of pytorch-metric-learning as ``pml/CLASS``."""

    prefix, origin = PREFIX, "pytorch-metric-learning"

    def member(self, name: str) -> MinerSpec:
        """See ``dml.miners.library``."""
        return library_miner(name)


MINERS: Miners = Miners.collected(
    "miner",
    __name__,
    (
        "distance",
        "semihard",
        "softhard",
        "random",
        "random_distance",
        "rho_distance",
        "lifted",
        "npair",
        "intra_random",
        "parametric",
    ),
)


def create_miner(
    name: str, *, embedding_size: int | None, margin: float | None = None, options: Mapping[str, object] | None = None
) -> Miner:
    """Build a miner of ``MINERS``.

    Args:
        name: of the miner.
        embedding_size: D.
        margin: of the loss that the tuples are for; None if it has none.
        options: flag name → value, for the options that this miner has; others keep their defaults.

    Raises:
        UnknownNameError: no such miner.
        UserError: an option that this miner does not have, listing those that it has; a value out of range, or a
            miner that needs the margin of a loss without one.
    """
    spec = MINERS[name]
    if spec.takes("margin") and margin is None:
        raise UserError(f"--batch_mining {name} looks within the loss's margin: choose a loss that has one")
    given = {"embedding_size": embedding_size, "margin": margin}
    taken = {argument: value for argument, value in given.items() if spec.takes(argument)}
    return spec.build(**taken, **spec.arguments(options or {}))
