"""What ends a run from outside (Ctrl-C, SIGTERM, a file): save what may be saved, say how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dml.data.images import UnreadableImageError
from dml.training.interrupt import Interrupted, InterruptGuard

BY_AN_IMAGE = "Stopped by an image"


@contextmanager
def stopping_in_order(guard: InterruptGuard, stop: Callable[[str, bool], None]) -> Iterator[None]:
    """Enter ``guard``, and call ``stop`` before anything leaves the block that came from outside.

    Args:
        stop: takes what happened, in a word, and whether it may have torn a step, whose effects must not be saved.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came.
        OSError: a file cannot be read or written.
    """
    with guard:
        try:
            yield
        except Interrupted as interrupted:
            stop("Interrupted", interrupted.torn)
            raise
        except UnreadableImageError:  # images are read between steps
            stop(BY_AN_IMAGE, False)
            raise
        except OSError:  # a full disk: what is saved already must do
            stop("Stopped", True)
            raise
        except RuntimeError as error:
            # Some clusters signal every process, and loader workers die of it: torch raises that wherever the program
            # stands, in the middle of a step too.
            if not (guard.requested and "DataLoader worker" in str(error)):
                raise
            stop("Interrupted", True)
            raise Interrupted(torn=True) from error
