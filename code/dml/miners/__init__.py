"""Miners by name: which tuples of a batch a loss is given. A new one is one file, one entry of ``MINERS``, one test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dml.conditions import Condition
from dml.errors import UserError
from dml.miners.contract import Miner, PairSets, Triplets
from dml.miners.distance import DistanceMiner
from dml.miners.intra_random import IntraRandomMiner
from dml.miners.lifted import LiftedMiner
from dml.miners.npair import NPairMiner
from dml.miners.parametric import MODES, ParametricMiner
from dml.miners.random import RandomMiner
from dml.miners.random_distance import RandomDistanceMiner
from dml.miners.rho_distance import RhoDistanceMiner
from dml.miners.semihard import SemihardMiner
from dml.miners.softhard import SofthardMiner
from dml.options import Option
from dml.ranges import above, at_least, between, unbounded
from dml.registry import Registry

__all__ = ["MINERS", "Miner", "MinerSpec", "PairSets", "Triplets", "create_miner"]


@dataclass(frozen=True)
class MinerSpec:
    """How a miner is built.

    Attributes:
        build: called with the arguments of ``needs`` and the options', all by keyword.
        options: flag name without dashes → what it sets.
        needs: which of "embedding_size" and "margin" (of the loss) it is built with.
    """

    build: Callable[..., Miner]
    options: Mapping[str, Option] = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def gives(self) -> str:
        """What the loss gets: "triplets" or "sets"."""
        return self.build.gives

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        return self.options[option].default_in(self.build)


_UPPER_CUTOFF = Option(
    "upper_cutoff",
    "accepted and without effect, as published",
    within=unbounded("it is not read"),
    used_if=(Condition(lambda settings: False, "has no effect, as published"),),
)
_DISTANCE_OPTIONS = {
    "miner_distance_lower_cutoff": Option("lower_cutoff", "distances below it count as it", within=at_least(0)),
    "miner_distance_upper_cutoff": _UPPER_CUTOFF,
}

MINERS: Registry[MinerSpec] = Registry(
    "miner",
    {
        "distance": MinerSpec(DistanceMiner, _DISTANCE_OPTIONS, ("embedding_size",)),
        "semihard": MinerSpec(SemihardMiner, needs=("margin",)),
        "softhard": MinerSpec(SofthardMiner),
        "random": MinerSpec(RandomMiner),
        "random_distance": MinerSpec(RandomDistanceMiner, _DISTANCE_OPTIONS, ("embedding_size",)),
        "rho_distance": MinerSpec(
            RhoDistanceMiner,
            {
                "miner_rho_distance_lower_cutoff": Option(
                    "lower_cutoff", "distances below it count as it", within=at_least(0)
                ),
                "miner_rho_distance_upper_cutoff": _UPPER_CUTOFF,
                "miner_rho_distance_cp": Option(
                    "switch_probability", "how often a class is pushed apart, in 0..1", within=between(0, 1)
                ),
            },
            ("embedding_size",),
        ),
        "lifted": MinerSpec(LiftedMiner),
        "npair": MinerSpec(NPairMiner),
        "intra_random": MinerSpec(IntraRandomMiner),
        "parametric": MinerSpec(
            ParametricMiner,
            {
                "miner_parametric_mode": Option("mode", f"which distances are wanted: {', '.join(MODES)}"),
                "miner_parametric_num_bins": Option(
                    "num_bins", "support points of the histogram of distances", within=at_least(3)
                ),
                "miner_parametric_low": Option("low", "least distance of the support", within=at_least(0)),
                "miner_parametric_high": Option("high", "largest distance of the support", within=above(0)),
            },
        ),
    },
)


def create_miner(
    name: str, *, embedding_size: int, margin: float | None = None, options: Mapping[str, object] | None = None
) -> Miner:
    """Build a miner of ``MINERS``.

    Args:
        name: of the miner.
        embedding_size: D.
        margin: of the loss that the tuples are for; None if it has none.
        options: flag name → value, for the options that this miner has; others keep their defaults.

    Raises:
        UnknownNameError: no such miner.
        KeyError: an option that this miner does not have.
        UserError: a value out of range, or a miner that needs the margin of a loss without one.
    """
    spec = MINERS[name]
    if "margin" in spec.needs and margin is None:
        raise UserError(f"--batch_mining {name} looks within the loss's margin: choose a loss that has one")
    given = {"embedding_size": embedding_size, "margin": margin}
    arguments = {need: given[need] for need in spec.needs}
    arguments |= {spec.options[flag].argument: value for flag, value in (options or {}).items()}
    return spec.build(**arguments)
