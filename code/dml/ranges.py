"""The values that a number may have, declared beside the flag that sets it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dml.errors import UserError


@dataclass(frozen=True)
class Range:
    """An interval of numbers, and perhaps single values besides that mean something else.

    Attributes:
        low, high: its ends; without bound where infinite.
        low_open, high_open: whether that end itself is left out.
        also: values beside the interval, such as −1 for "as published".
        why: of a range without bounds: why it has none.
    """

    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False
    also: tuple[float, ...] = ()
    why: str = ""

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return (above and below) or value in self.also

    def __str__(self) -> str:
        """What a value must do or be, as in "--lr must be positive"."""
        text = self._interval()
        return text if not self.also else f"{text}, or be {' or '.join(f'{value:g}' for value in self.also)}"

    def _interval(self) -> str:
        if math.isinf(self.low):
            return "be a finite number"
        if math.isinf(self.high):
            if self.low == 0:
                return "be positive" if self.low_open else "be 0 or more"
            return f"be {'above' if self.low_open else 'at least'} {self.low:g}"
        ends = f"{self.low:.12g}", f"{self.high:.12g}"
        if not (self.low_open or self.high_open):
            return f"lie in {ends[0]}..{ends[1]}"
        return f"lie in {'(' if self.low_open else '['}{ends[0]}, {ends[1]}{')' if self.high_open else ']'}"

    def check(self, flag: str, value: Any) -> None:
        """UserError if a number, or one of several, that was given by ``flag`` is not in the range; None is."""
        for number in value if isinstance(value, tuple | list) else (value,):
            if number is not None and number not in self:
                must = str(self) if math.isfinite(number) else "be a finite number"
                raise UserError(f"{flag} must {must}, got {number}")


def at_least(low: float, *, also: tuple[float, ...] = ()) -> Range:
    """``low`` or more."""
    return Range(low, also=also)


def above(low: float, *, also: tuple[float, ...] = ()) -> Range:
    """More than ``low``."""
    return Range(low, low_open=True, also=also)


def between(low: float, high: float, *, without: str = "", also: tuple[float, ...] = ()) -> Range:
    """From ``low`` to ``high``, both included but for what ``without`` names: "low", "high" or "ends"."""
    return Range(low, high, without in ("low", "ends"), without in ("high", "ends"), also)


def unbounded(why: str) -> Range:
    """Any finite number, and why any makes sense."""
    return Range(why=why)
