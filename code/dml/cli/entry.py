"""How entry points start and end."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from dml.cli.plain_text import write_plainly
from dml.signals import heeded_signals


def guarded(main: Callable[[], None]) -> NoReturn:
    """Run an entry point; a mistake of the user's ends it with one line and status 2, without a traceback.

    A signal that asks it to end gives status 130, whatever it was. ``DML_TRACEBACK=1`` shows the traceback all the
    same.
    """
    write_plainly()
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    # Of torch's, wherever a loader is made; dml.cli.workers says it once, and names the flag.
    warnings.filterwarnings("ignore", "This DataLoader will create")
    if any(int(os.environ.get(rank, 0)) > 0 for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        warnings.simplefilter("ignore")  # the first of several processes says it
    try:
        with ending_like_ctrl_c():
            main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        if os.environ.get("DML_TRACEBACK") == "1":
            raise
        text = str(error) or type(error).__name__
        if "Original Traceback" in text:  # a loader worker's error comes wrapped in its traceback
            text = text.strip().splitlines()[-1].partition(": ")[2]
        _end_with(text)
    except RuntimeError as error:
        if os.environ.get("DML_TRACEBACK") == "1" or (advice := _advice(error)) is None:
            raise
        _end_with(advice)
    raise SystemExit(0)


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Every signal that asks the program to end raises KeyboardInterrupt; a training heeds them in its own way."""
    previous = {number: signal.signal(number, signal.default_int_handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_with(text: str) -> NoReturn:
    print(f"{Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)
    raise SystemExit(2) from None


def _advice(error: RuntimeError) -> str | None:
    """What helps against an error of torch's that is no defect of the program; None against others."""
    reason = str(error).splitlines()[:1]
    # By name: importing torch takes seconds, and report.py does without it.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "OutOfMemoryError" in kinds or "can't allocate memory" in str(error):
        return (
            f"out of memory: {''.join(reason)}\nLess is needed with a smaller --batch-size, --crop-size or"
            " --embedding-size, and on a GPU with --precision bf16-mixed"
        )
    if "BackendCompilerFailed" in kinds:
        return f"torch.compile failed: {''.join(reason)}; --compile 0 goes on without it"
    return None
