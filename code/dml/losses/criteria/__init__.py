"""The criteria of the Revisiting-DML code base, on which listwise self-distillation is published, by name.

A published spelling selects the function that the published code computes, slips included; where that is not what
its paper means, the paper's form has a name of its own. A new criterion is one file here, one entry, one test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from dml.losses.criteria.triplet import TripletLoss
from dml.losses.spec import LossOption, LossSpec

TRIPLET_MINERS = (
    "distance",
    "softhard",
    "random",
    "rho_distance",
    "random_distance",
    "parametric",
    "intra_random",
)
MARGIN_MINERS = ("distance", "semihard", *TRIPLET_MINERS[1:])  # semihard looks within the loss's margin


def _spec(build: Callable[..., nn.Module], options: Mapping[str, LossOption] | None = None, **more: Any) -> LossSpec:
    return LossSpec(build, "lsd", options or {}, **more)


def _triplet_spec(build: Callable[..., nn.Module], options: Mapping[str, LossOption], **more: Any) -> LossSpec:
    return _spec(build, options, **({"miners": TRIPLET_MINERS} | more), tuples="triplets", needs_positives=True)


CRITERIA: dict[str, LossSpec] = {
    "triplet_squared": _triplet_spec(
        TripletLoss,
        {"loss_triplet_margin": LossOption("margin", "margin of the squared distances")},
        miners=MARGIN_MINERS,
    ),
}

CRITERIA_ALIASES = {  # the published spellings
    "triplet": "triplet_squared",
}
