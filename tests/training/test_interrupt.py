"""How long a process that was asked to stop waits for the others of its run."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace

import pytest

from dml.training import interrupt
from dml.training.interrupt import PATIENCE, Interrupted, InterruptGuard

HALTED = 60.0  # seconds, far beyond every patience


class SlowPeers:
    """The other process answers ``after`` so many seconds; this one is halted meanwhile, and signalled then."""

    number = 2

    def __init__(self, clock: SimpleNamespace, after: float):
        self.clock, self.after = clock, after

    def decide(self, wish, give_up=lambda: False):
        self.clock.now += HALTED
        os.kill(os.getpid(), signal.SIGUSR1)
        answered = self.clock.now + self.after
        while self.clock.now < answered:
            if give_up():
                return None
            self.clock.now += 0.1
        return True


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(interrupt, "time", clock)
    return clock


@pytest.mark.parametrize(("after", "together"), [(0.5 * PATIENCE, True), (2 * PATIENCE, False)])
def test_patience_is_counted_from_the_request(clock, after, together):
    """A process that slept through its wait, as SLURM suspends one, still gives the others their time."""
    with InterruptGuard(SlowPeers(clock, after)) as guard, pytest.raises(Interrupted) as stopped:
        guard.check()
    assert stopped.value.together is together
