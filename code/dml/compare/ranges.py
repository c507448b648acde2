"""What the values of a setting are searched among."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dml.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

DIGITS = 4
"""Significant digits of a number that is tried: what stands in a command line is what was tried."""


@dataclass(frozen=True)
class SearchRange:
    """Numbers from ``low`` to ``high``, whole ones if both are, or ``choices``.

    Attributes:
        log: whether the logarithm is drawn uniformly.
        choices: texts, numbers or truth values; empty of a range.
    """

    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that must be possible: the choices, or the ends of the range."""
        return self.choices or (self.low, self.high)

    def distribution(self) -> BaseDistribution:
        """Optuna's."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        kind = IntDistribution if self.is_whole else FloatDistribution
        return kind(self.low, self.high, log=self.log)

    def rounded(self, value: Any) -> Any:
        """A value that was drawn with ``DIGITS`` digits, within the range."""
        if self.choices or self.is_whole:
            return value
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)


def range_of(where: str, value: Any) -> SearchRange:
    """The range that a plan's ``{low = 1e-5, high = 1e-3, log = true}``, ``{low = 1, high = 8}`` or
    ``{choices = [16, 32]}`` says. UserError, beginning with ``where``, for anything else."""
    form = "{low = 1e-5, high = 1e-3, log = true} or {choices = [16, 32]}"
    if not isinstance(value, dict) or not (set(value) <= {"low", "high", "log"} or set(value) == {"choices"}):
        raise UserError(f"{where}: reads {form}, not {value!r}")
    if "choices" in value:
        choices = value["choices"]
        if not isinstance(choices, list) or not choices or any(isinstance(item, list | dict) for item in choices):
            raise UserError(f"{where}: choices is a list of values, not {choices!r}")
        return SearchRange(choices=tuple(choices))
    low, high, log = value.get("low"), value.get("high"), value.get("log", False)
    numbers = all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high))
    if not numbers or not isinstance(log, bool):
        raise UserError(f"{where}: low and high are numbers, and log is true or false: {form}")
    if not low < high:
        raise UserError(f"{where}: low {low} is not below high {high}")
    if log and low <= 0:
        raise UserError(f"{where}: log = true needs a low above 0, not {low}")
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return SearchRange(low, high, log)
