"""Ctrl-C and SIGTERM wait for a moment at which nothing is torn."""

from __future__ import annotations

import signal
from types import FrameType


class Interrupted(Exception):
    """The user, or the cluster, asked the run to stop.

    Args:
        torn: whether it came in the middle of a step, whose effects must not be saved.
    """

    def __init__(self, *, torn: bool = False):
        super().__init__("interrupted")
        self.torn = torn


class InterruptGuard:
    """While it is entered, the first SIGINT or SIGTERM waits for the next safe point.

    At a safe point ``check`` raises ``Interrupted``; inside ``immediately`` (evaluation, drawing: nothing to
    tear) the signal raises it at once. A second signal always does.

    Args:
        wait_for_safe_point: whether a signal waits at all.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, *, wait_for_safe_point: bool = True) -> None:
        self.requested = False
        self.wait_for_safe_point = wait_for_safe_point
        self._immediate = False
        self._previous: dict[int, object] = {}

    def __enter__(self) -> InterruptGuard:
        self._previous = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        second, self.requested = self.requested, True
        if self._immediate:
            raise Interrupted
        if second or not self.wait_for_safe_point:
            raise Interrupted(torn=True)

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came since entering."""
        if self.requested:
            raise Interrupted

    def immediately(self) -> _Immediate:
        """A context in which a signal need not wait."""
        return _Immediate(self)


class _Immediate:
    def __init__(self, guard: InterruptGuard):
        self.guard = guard

    def __enter__(self) -> None:
        self.guard.check()
        self.guard._immediate = True

    def __exit__(self, *_: object) -> None:
        self.guard._immediate = False
