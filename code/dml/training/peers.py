"""What the processes of a run tell each other beside the training: whether to stop, and what a checkpoint keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from dml.errors import UserError

POLL = 0.002  # seconds between two looks at what has not arrived yet


class LostProcessError(UserError, OSError):
    """Another process of the run is gone: killed, or ended by an error of its own."""


class Peers:
    """The processes of a run. Each calls the same methods in the same order; with one process nothing is sent.

    They talk in a group of their own, over the CPU: no GPU is waited for, and what the training sends meanwhile does
    not mix with it.

    Args:
        number: how many they are.

    Raises:
        UserError: they cannot reach each other by gloo.
    """

    def __init__(self, number: int):
        self.number = number
        self._group = _side_group() if number > 1 else None
        self._cast: _Votes | None = None

    def vote(self, wish: bool) -> bool:
        """After each step: whether any process wished to stop after the step before; ``wish`` is this one's now.

        The votes of a step travel while the next one is computed, so that no step waits for them, and all processes
        stop after the same one.

        Raises:
            LostProcessError: one is gone.
        """
        if self._group is None:
            return wish
        earlier, self._cast = self._cast, _Votes(wish, self._group)
        return earlier is not None and earlier.outcome()

    def decide(self, wish: bool, give_up: Callable[[], bool] = lambda: False) -> bool | None:
        """Whether any process wishes to stop, in this or the last vote. They wait for each other.

        Args:
            give_up: asked while waiting.

        Returns:
            None if this process gave up waiting.

        Raises:
            LostProcessError: one is gone.
        """
        if self._group is None:
            return wish
        earlier, self._cast = self._cast, None
        before = earlier is not None and earlier.outcome()
        now = _Votes(wish, self._group).outcome(give_up)
        return None if now is None else now or before

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by number, on the first; nothing on the others."""
        if self._group is None:
            return [value]
        values = [None] * self.number if dist.get_rank() == 0 else None
        dist.gather_object(value, values, dst=0, group=self._group)
        return values or []

    def leave(self, seconds: float) -> None:
        """Wait until the first process comes here too, or one is gone, or ``seconds`` have passed.

        Launchers kill the processes that are left, one that is writing a checkpoint included, soon after another has
        ended.
        """
        end = time.monotonic() + seconds
        try:
            for _ in range(2):  # the first may answer a question that another is still waiting with
                self.decide(True, lambda: time.monotonic() > end)
        except LostProcessError:
            return


class _Votes:
    """A wish on its way to the others, and theirs to this process."""

    def __init__(self, wish: bool, group: dist.ProcessGroup):
        self._wishes = torch.tensor(int(wish))
        self._work = _or_lost(lambda: dist.all_reduce(self._wishes, dist.ReduceOp.MAX, group, async_op=True))

    def outcome(self, give_up: Callable[[], bool] = lambda: False) -> bool | None:
        """Whether any process wished, None after giving up; waits in Python, so that signals are heard."""
        while not self._work.is_completed():
            if give_up():
                return None
            time.sleep(POLL)
        _or_lost(self._work.wait)
        return bool(self._wishes)


def is_loss_of_a_process(error: BaseException) -> bool:
    """Whether torch raised ``error`` because another process of the run is gone."""
    if not (dist.is_available() and dist.is_initialized() and isinstance(error, RuntimeError)):
        return False
    return isinstance(error, dist.DistError) or any(
        words in str(error) for words in ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    )


def _or_lost(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except RuntimeError as error:
        raise lost_process() from error


def lost_process() -> LostProcessError:
    """The error that says so."""
    return LostProcessError("another process of this run has ended; what it said, if anything, stands above")


def _side_group() -> dist.ProcessGroup:
    try:
        # One may wait long for another that draws or evaluates alone; one that is gone is noticed at once all the same.
        return dist.new_group(backend="gloo", timeout=timedelta(days=1))
    except RuntimeError as error:
        raise UserError(
            "the processes cannot reach each other by gloo: set GLOO_SOCKET_IFNAME to the network interface that"
            f" connects their machines ({str(error).splitlines()[0]})"
        ) from error
