"""How many processes load images: by default no more than there are cores for."""

from __future__ import annotations

import os
import warnings

from dml.config import ConfigWarning


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def loading_processes(number: int, *, is_typed: bool) -> int:
    """``number``, a default at most the ``cores``.

    Warns:
        ConfigWarning: what was typed is more.
    """
    room = cores()
    if not is_typed:
        return min(number, room)
    if number > room:
        there = "is 1 core" if room == 1 else f"are {room} cores"
        warnings.warn(f"--workers {number}: there {there} for them; more processes load no faster", ConfigWarning)
    return number
