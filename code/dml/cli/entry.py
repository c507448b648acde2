"""How entry points start and end."""

from __future__ import annotations

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from dml.cli.plain_text import write_plainly
from dml.errors import Note, UserError, notes_of
from dml.memory import keep_freed_memory
from dml.packages import end_with, lacking
from dml.signals import heeded_signals
from dml.tracking import drop_output


def guarded(main: Callable[[], None]) -> NoReturn:
    """Run an entry point; what the user can mend ends it with one line and status 2, without a traceback.

    That is a ``UserError``, and an ``OSError``, which names a file or a machine. Anything else is a fault of the
    program's: it keeps its traceback, and the status is 1.

    A signal that asks it to end gives status 130, whatever it was. ``DML_TRACEBACK=1`` shows the traceback all the
    same.
    """
    write_at_once()
    write_plainly()
    keep_freed_memory()
    warnings.formatwarning = _format_warning
    # Of torch's, wherever a loader is made; dml.cli.workers says it once, and names the flag.
    warnings.filterwarnings("ignore", "This DataLoader will create")
    if any(int(os.environ.get(rank) or 0) > 0 for rank in ("RANK", "LOCAL_RANK", "SLURM_PROCID")):
        warnings.simplefilter("ignore")  # the first of several processes says it
    try:
        with ending_like_ctrl_c():
            main()
            _flush()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError as error:  # `| head` has seen enough
        drop_output(sys.stdout, error)
        raise SystemExit(141) from None  # as a shell has it of programs that end so
    except (UserError, OSError) as error:
        if os.environ.get("DML_TRACEBACK") == "1":
            raise
        text = str(error) or type(error).__name__
        if "Original Traceback" in text:  # a loader worker's error comes wrapped in its traceback
            text = text.strip().splitlines()[-1].partition(": ")[2]
        try:
            _flush()
        except OSError as unwritten:  # the very same, if the output's disk is full
            drop_output(sys.stdout, unwritten)
        end_with("\n".join([text, *notes_of(error)]))
    except Exception as error:
        if os.environ.get("DML_TRACEBACK") != "1" and (advice := lacking(error) or _advice(error)) is not None:
            end_with("\n".join([advice, *notes_of(error)]))
        if sys.version_info < (3, 11):  # later ones print the notes below the traceback
            sys.excepthook(type(error), error, error.__traceback__)
            print(*notes_of(error), sep="\n", file=sys.stderr)
            raise SystemExit(1) from None
        raise
    raise SystemExit(0)


def write_at_once() -> None:
    """Let every line leave the program as it is written: who follows a log file or a pipe sees where a run stands."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started the program; libraries write there all the same
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (open until the program ends)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)


def _flush() -> None:
    """Write what is printed already, since Python, when it ends, would tell of a failure by a traceback."""
    try:
        sys.stderr.flush()
    except OSError as error:  # which nobody could be told of
        drop_output(sys.stderr, error)
    sys.stdout.flush()


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Every signal that asks the program to end raises KeyboardInterrupt; a training heeds them in its own way."""
    previous = {number: signal.signal(number, signal.default_int_handler) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _format_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> str:
    return f"{message}\n" if issubclass(category, Note) else f"warning: {message}\n"


def _advice(error: Exception) -> str | None:
    """What helps against an error of torch's that is no defect of the program; None against others."""
    reason = str(error).splitlines()[:1]
    # By name: importing torch takes seconds, and report.py does without it.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"OutOfMemoryError", "MemoryError"} or "can't allocate memory" in str(error):
        return (
            f"out of memory: {''.join(reason)}\nLess is needed with a smaller --batch-size, --crop-size or"
            " --embedding-size, and on a GPU with --precision bf16-mixed"
        )
    if "BackendCompilerFailed" in kinds:
        return f"torch.compile failed: {''.join(reason)}; --compile 0 goes on without it"
    return None
