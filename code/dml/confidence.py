"""How far a mean may be from the truth."""

from __future__ import annotations

import math

CONFIDENCE = 0.95


def half_width(deviation: float, number: int) -> float:
    """Half the width of a mean's 95 % confidence interval by Student's t.

    Args:
        deviation: sample standard deviation, with n − 1.
        number: of values n, at least 2.
    """
    from scipy.special import stdtrit  # here: its import takes a second

    return float(stdtrit(number - 1, (1 + CONFIDENCE) / 2)) * deviation / math.sqrt(number)
