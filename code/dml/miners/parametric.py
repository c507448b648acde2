"""Negatives by a fixed histogram over distances (Roth et al., CVPR 2020, PADS; METHODS §18)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dml.errors import UserError
from dml.miners.contract import Triplets
from dml.miners.drawing import draw, minable, relations
from dml.miners.spec import MinerSpec
from dml.options import Option
from dml.ranges import above, at_least
from dml.registry import Registry

LEAST_DISTANCE = 0.01
LEAST_WEIGHT = 1e-15


def _between(support: Tensor) -> Tensor:
    """NOTE: outside [0.3, 0.7] the weight is the support value itself, not 0: a slip of the published code, kept."""
    return torch.where((support >= 0.3) & (support <= 0.7), 1.0, support)


MODES: Registry[Callable[[Tensor], Tensor]] = Registry(
    "mode of the parametric miner",
    {
        "uniform": lambda support: torch.ones_like(support[1:]),
        "hards": lambda support: (support <= 0.5).to(support.dtype),
        "veryhards": lambda support: (support <= 0.3).to(support.dtype),
        "semihards": _between,
    },
)
"""Name → weights of the bins, from the (n,) support; the n-th, if there is one, is never reached."""


def bin_weights(mode: str, *, num_bins: int = 10, low: float = 0.1, high: float = 1.4) -> tuple[Tensor, Tensor]:
    """The histogram: (n,) support points from ``low`` to ``high``, and weights of their bins that sum to 1.

    Returns:
        support (n,) and weights (n − 1,) or (n,), float64.
    """
    support = torch.linspace(low, high, num_bins, dtype=torch.float64)
    weights = MODES[mode](support).clamp(LEAST_WEIGHT, 1)
    return support, weights / weights.sum()


def negative_probabilities(distances: Tensor, negatives: Tensor, support: Tensor, weights: Tensor) -> Tensor:
    """(A, B): each negative's weight is that of its bin, renormalised over the anchor's negatives.

    A distance's bin is the number of inner support points strictly below it.

    NOTE: distances outside the support fall into the first and last bin; the published rule that was to exclude
    them asks for both sides at once and never applies.

    Args:
        distances: (A, B) from anchors to samples.
        negatives: (A, B) bool, at least one per row.
        support, weights: of ``bin_weights``.
    """
    bins = torch.bucketize(distances.clamp(min=LEAST_DISTANCE), support[1:-1])
    masses = weights[bins] * negatives
    return masses / masses.sum(dim=1, keepdim=True)


class ParametricMiner:
    """One triplet per anchor: a uniform positive, a negative by the bin of its distance. O(B² log n).

    Samples alone in their class are left out.

    NOTE: the published options file lacks this miner's; names and defaults are this project's.

    Args:
        mode: of ``MODES``: which distances are wanted.
        num_bins: n, support points.
        low, high: the support's ends.

    Raises:
        UnknownNameError: no such mode.
        UserError: fewer than 3 support points, or ends out of order.
    """

    gives = "triplets"

    def __init__(self, *, mode: str = "uniform", num_bins: int = 10, low: float = 0.1, high: float = 1.4):
        if num_bins < 3:
            raise UserError(f"--miner_parametric_num_bins must be at least 3, got {num_bins}")
        if not 0 <= low < high:
            raise UserError(f"--miner_parametric_low and _high need 0 <= low < high, got {low} and {high}")
        self.support, self.weights = bin_weights(mode, num_bins=num_bins, low=low, high=high)

    def __call__(self, distances: Tensor, labels: Tensor) -> Triplets:
        """See :class:`dml.miners.contract.Miner`."""
        positives, negatives = relations(labels)
        anchors = minable(positives, negatives)
        probabilities = negative_probabilities(
            distances[anchors], negatives[anchors], self.support.to(distances), self.weights.to(distances)
        )
        return Triplets(anchors, draw(positives[anchors]), draw(probabilities))


SPEC = MinerSpec(
    name="parametric",
    build=ParametricMiner,
    options={
        "miner_parametric_mode": Option("mode", f"which distances are wanted: {', '.join(MODES)}"),
        "miner_parametric_num_bins": Option(
            "num_bins", "support points of the histogram of distances", within=at_least(3)
        ),
        "miner_parametric_low": Option("low", "least distance of the support", within=at_least(0)),
        "miner_parametric_high": Option("high", "largest distance of the support", within=above(0)),
    },
)
