"""What ends a run from outside (a signal, a file, a process that died): save what may be saved, say how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dml.data.images import UnreadableImageError
from dml.data.loader import LoadingError, loading_error_of
from dml.training.interrupt import Interrupted, InterruptGuard
from dml.training.peers import LostProcessError, is_loss_of_a_process, lost_process


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
