"""Means with their intervals, and which differences between methods are more than chance."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from dml.confidence import CONFIDENCE, half_width


@dataclass(frozen=True)
class Estimate:
    """A mean and half the width of its 95 % confidence interval by Student's t; None of a single value."""

    mean: float
    half_width: float | None
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Estimate | None:
        """None without values."""
        if not values:
            return None
        mean, number = statistics.fmean(values), len(values)
        if number == 1:
            return cls(mean, None, 1)
        return cls(mean, half_width(statistics.stdev(values), number), number)


@dataclass(frozen=True)
class Difference:
    """Two methods on the same seeds and folds.

    Attributes:
        first, second: methods.
        estimate: of the differences first − second, pair by pair.
        p: of the paired two-sided t-test.
        corrected: p by Holm's step-down procedure over all pairs of methods; None of a single pair of values.
    """

    first: str
    second: str
    estimate: Estimate
    p: float | None
    corrected: float | None = None

    @property
    def is_significant(self) -> bool:
        return self.corrected is not None and self.corrected < 1 - CONFIDENCE


def compare(values: Mapping[str, Mapping[Hashable, float]]) -> list[Difference]:
    """Every two methods.

    Args:
        values: method → (seed, fold), or seed → figure; pairs that both methods have are compared.
    """
    found = []
    for first, second in itertools.combinations(values, 2):
        shared = [key for key in values[first] if key in values[second]]
        differences = [values[first][key] - values[second][key] for key in shared]
        if (estimate := Estimate.of(differences)) is not None:
            found.append(Difference(first, second, estimate, _paired_p(differences)))
    corrected = holm([difference.p for difference in found])
    return [Difference(d.first, d.second, d.estimate, d.p, p) for d, p in zip(found, corrected, strict=True)]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number (Holm, 1979), in the same order; None stays and does not count.

    The i-th smallest of m is multiplied by m − i + 1, and never below a smaller one's, nor above 1.
    """
    order = sorted((value, place) for place, value in enumerate(values) if value is not None)
    corrected: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, place) in enumerate(order):
        highest = max(highest, min(1.0, value * (len(order) - rank)))
        corrected[place] = highest
    return corrected


def _paired_p(differences: Sequence[float]) -> float | None:
    """Two-sided, that their mean is 0; None of fewer than two. Differences that are all the same are no chance."""
    if len(differences) < 2:
        return None
    mean, deviation = statistics.fmean(differences), statistics.stdev(differences)
    if deviation == 0:
        return 1.0 if mean == 0 else 0.0
    from scipy.special import stdtr

    t = abs(mean) / (deviation / math.sqrt(len(differences)))
    return float(2 * stdtr(len(differences) - 1, -t))
