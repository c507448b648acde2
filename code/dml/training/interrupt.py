"""What ends a run from outside, signals and faults of the machine, meets it where nothing is torn, on all processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dml.data.images import UnreadableImageError
from dml.data.loader import LoadingError, loading_error_of
from dml.signals import heeded_signals
from dml.training.peers import LostProcessError, Peers, is_loss_of_a_process, lost_process

# Schedulers signal every process, and launchers pass on what they get: within so many seconds it is one request.
SAME_REQUEST = 2.0
# Seconds that a process which was told to stop waits for the others, which may have stopped where they stood.
PATIENCE = 3.0


class Interrupted(KeyboardInterrupt):
    """The user, or the cluster, asked the run to stop.

    Args:
        torn: whether it came in the middle of a step, whose effects must not be saved.
        together: whether every process stops at this very point.
    """

    def __init__(self, *, torn: bool = False, together: bool = False):
        super().__init__("interrupted")
        self.torn, self.together = torn, together


class InterruptGuard:
    """While it is entered, the first signal of ``STOP_SIGNALS`` waits for the next safe point.

    At a safe point ``check`` raises ``Interrupted`` on all processes together, whichever of them were signalled; inside
    ``immediately`` (evaluation, drawing: nothing to tear) the signal raises it at once; inside ``holding`` never. A
    second request, no echo of the first, does not wait for a safe point.

    Args:
        peers: the processes of the run.

    Attributes:
        requested: whether a signal came.
        sound: whether nothing is torn where the program stands, or stood when an exception left ``immediately``.
    """

    def __init__(self, peers: Peers) -> None:
        self.peers = peers
        self.requested = self.sound = False
        self._immediate = self._held = False
        self._since = 0.0
        self._process = os.getpid()
        self._previous: dict[int, object] = {}

    def __enter__(self) -> InterruptGuard:
        self._previous = {number: signal.signal(number, self._handle) for number in heeded_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a loading process, just forked, which has its parent's handlers still
            return
        if not self.requested:
            self.requested, self._since = True, time.monotonic()
            again = False
        else:
            again = time.monotonic() - self._since > SAME_REQUEST
        if self._held:
            return
        if self._immediate:
            raise Interrupted
        if again:
            raise Interrupted(torn=True)

    def agreed(self, *, last: bool = False) -> bool:
        """After each step, on every process: whether all stop here.

        Args:
            last: settle it now, for no other step follows; otherwise the answer is to the step before.
        """
        return self.peers.decide(self.requested) if last else self.peers.vote(self.requested)

    def check(self) -> None:
        """Raise ``Interrupted``, on every process, if a signal came to any of them since entering."""
        came = time.monotonic()

        def is_out_of_patience() -> bool:
            # From the request on: a process that a scheduler halted hears of it long after it came here.
            return self.requested and time.monotonic() - max(came, self._since) > PATIENCE

        agreed = self.peers.decide(self.requested, is_out_of_patience)
        if agreed is None or agreed:
            raise Interrupted(together=agreed is not None)

    @contextmanager
    def immediately(self) -> Iterator[None]:
        """A context in which a signal need not wait. Every process enters and leaves it, and waits for the others."""
        self.check()
        with self._at_once():
            yield
        self.check()

    @contextmanager
    def loading(self) -> Iterator[None]:
        """A context that waits for a batch: of one process, which nobody else waits for, a signal need not wait."""
        if self.peers.number > 1:
            self.sound = True
            yield
            self.sound = False
            return
        if self.requested:
            raise Interrupted
        with self._at_once():
            yield

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        self.sound = self._immediate = True
        try:
            yield
        finally:
            self._immediate = False
        self.sound = False
        if self.requested and self.peers.number == 1:  # its exception was swallowed by what it came into
            raise Interrupted

    @contextmanager
    def holding(self) -> Iterator[None]:
        """A context in which signals are noted only: a file is written."""
        held, self._held = self._held, True
        try:
            yield
        finally:
            self._held = held


@contextmanager
def stopping_in_order(guard: InterruptGuard, stop: Callable[[Exception, bool, bool], None]) -> Iterator[None]:
    """Enter ``guard``, and call ``stop`` before anything leaves the block that came from outside.

    Args:
        stop: takes what was raised; whether it may have torn a step, whose effects must not be saved; whether every
            process of the run stops at this very point.

    Raises:
        Interrupted: a signal came that asks the run to stop.
        OSError: a file cannot be read or written; ``LoadingError``: loading processes died;
            ``LostProcessError``: another process of the run did.
    """
    with guard:
        try:
            yield
        except Interrupted as interrupted:
            stop(interrupted, interrupted.torn, interrupted.together)
            raise
        except UnreadableImageError as error:  # images are read between steps
            stop(error, False, False)
            raise
        except (LoadingError, LostProcessError, RuntimeError) as error:
            # torch raises the death of a loading process wherever the program stands, in the middle of a step too.
            reason = _reason(error)
            if reason is None:
                raise
            if guard.requested:  # they ended of the same signal
                interrupted = Interrupted(torn=not guard.sound)
                stop(interrupted, interrupted.torn, False)
                raise interrupted from error
            stop(reason, not guard.sound, False)
            if reason is error:
                raise
            raise reason from error
        except OSError as error:  # a full disk: what is saved already must do
            stop(error, True, False)
            raise


def _reason(error: OSError | RuntimeError) -> OSError | None:
    """What from outside the program is behind ``error``; None: nothing."""
    if isinstance(error, OSError):
        return error
    return loading_error_of(error) or (lost_process() if is_loss_of_a_process(error) else None)
