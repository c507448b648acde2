"""How long a run will still take, from how long its epochs have taken."""

from __future__ import annotations

MINUTE, HOUR = 60, 3600


def remaining_text(seconds: float, epochs: int) -> str:
    """``19 epochs are left, about 12 minutes``."""
    left = "1 epoch is left" if epochs == 1 else f"{epochs} epochs are left"
    return f"{left}, about {_duration(seconds)}"


def _duration(seconds: float) -> str:
    for unit, name in ((24 * HOUR, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if seconds >= 1.95 * unit:
            return f"{round(seconds / unit)} {name}s"
    return "a minute" if seconds >= MINUTE / 2 else f"{max(1, round(seconds))} seconds"
