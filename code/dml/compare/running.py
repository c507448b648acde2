"""Runs of a comparison, each in a process of its own that this one starts: without importing everything again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dml.api import running
from dml.compare.commands import Command, Places
from dml.compare.results import DIVERGED, FINISHED, PRUNED, Result, curve_of, keep_result, result_of
from dml.config import ROOT
from dml.errors import UserError
from dml.evaluation.evaluator import NonFiniteEmbeddingsError
from dml.signals import heeded_signals
from dml.training.losswatch import NonFiniteLossError
from dml.writing import locked

POLL = 0.1  # seconds between two looks at a run's record
STOPPED, DIVERGED_STATUS = 130, 4
TO_DEATH = 1  # PR_SET_PDEATHSIG of Linux


class Stop:
    """Whether this process was asked to stop.

    The first signal raises KeyboardInterrupt, once, which what it comes into may swallow: so loops ``check``.
    """

    asked = False

    @classmethod
    @contextmanager
    def heeding(cls) -> Iterator[None]:
        """A context in which signals are heeded so."""
        cls.asked = False
        previous = {number: signal.signal(number, cls._ask) for number in heeded_signals()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    @classmethod
    def _ask(cls, *_: object) -> None:
        first, cls.asked = not cls.asked, True
        if first:
            raise KeyboardInterrupt

    @classmethod
    def check(cls) -> None:
        """KeyboardInterrupt if a signal came."""
        if cls.asked:
            raise KeyboardInterrupt


def is_still_going(folder: Path) -> bool:
    """Whether a process trains in a run folder: one whose starter was killed may be on its way to a stop."""
    if not folder.is_dir():
        return False
    try:
        locked(folder / ".lock", wait=False).close()
    except BlockingIOError:
        return True
    return False


def train(
    command: Command,
    places: Places,
    data: str,
    metric: str,
    *,
    keep: bool,
    is_to_stop: Callable[[dict[int, float]], int | None] | None = None,
) -> Result:
    """Begin or continue a run, and write its result down.

    Args:
        data: name of the images.
        metric: that selects.
        keep: whether its checkpoints stay.
        is_to_stop: curve so far → the epoch at which it is pruned, or None; None: it is not.

    Raises:
        UserError: it ended with an error, which is no matter of its settings.
        KeyboardInterrupt: it was stopped from outside.
    """
    folder = command.folder(places, data)
    begun = (folder / "config.json").is_file()
    if folder.is_dir() and not begun:
        shutil.rmtree(folder)  # killed when it was made
    line = command.line(places, data, folder if begun else None)
    output = places.out / "output" / f"{command.name}.txt"
    process = start(_train, line, output)
    stopped_at = None
    try:
        seen = 0
        while process.is_alive() and stopped_at is None:
            Stop.check()
            process.join(POLL)
            if is_to_stop is not None and len(curve := curve_of(folder, metric)) > seen:
                seen, stopped_at = len(curve), is_to_stop(curve)
        if stopped_at is not None:
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        wait_for(process)
    except BaseException:
        end(process)
        raise
    if stopped_at is None and is_to_stop is not None:
        stopped_at = is_to_stop(curve_of(folder, metric))
    if stopped_at is not None:
        result = result_of(folder, metric, PRUNED, until=stopped_at)
    elif process.exitcode in (0, DIVERGED_STATUS):
        result = result_of(folder, metric, DIVERGED if process.exitcode else FINISHED)
    else:
        raise_for(process.exitcode, command.name, output)
    keep_result(folder, result)
    if not keep:
        for file in (*folder.glob("last.pt"), *folder.glob("best*.pt")):
            file.unlink()
    return result


def start(target: Callable[..., None], argument: Any, output: Path) -> multiprocessing.Process:
    """A process that calls ``target(argument)`` and writes to the end of ``output``.

    On Linux it is forked, with everything imported that a run needs, which this process itself never uses; elsewhere
    it is a new Python.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    forks = sys.platform == "linux"
    if forks:
        _import_all()
    context = multiprocessing.get_context("fork") if forks else multiprocessing.get_context("spawn")
    process = context.Process(target=_in_child, args=(target, argument, str(output), os.getpid()))
    process.start()
    return process


def wait_for(process: multiprocessing.Process) -> None:
    """Until it has ended. KeyboardInterrupt: this one was asked to stop."""
    while process.is_alive():
        Stop.check()
        process.join(POLL)
    process.join()


def end(process: multiprocessing.Process) -> None:
    """Let a process stop in order, and wait for that."""
    if process.is_alive():
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    process.join()


def raise_for(status: int | None, name: str, output: Path) -> None:
    """What a process that did not end well means for the comparison: KeyboardInterrupt, or a UserError."""
    if status == STOPPED:
        raise KeyboardInterrupt
    lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
    ended = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
    raise UserError(f"{name} {ended}{f': {lines[-1]}' if lines else ''} (all that it said: {output})")


def _import_all() -> None:
    for program in running.PROGRAMS.values():
        __import__(program.module)


def _train(line: list[str]) -> None:
    sys.argv = [str(ROOT / "code" / line[0]), *line[1:]]  # what a run's record says it was begun by
    running.train(line)


def _in_child(target: Callable[..., None], argument: Any, output: str, parent: int) -> None:
    for number in heeded_signals():
        signal.signal(number, signal.default_int_handler)
    _end_with(parent)
    with open(output, "a", buffering=1) as file:  # noqa: PTH123 (by its number, it replaces this process's own)
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", buffering=1, closefd=False) for stream in (1, 2))
    print(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')}  {argument if isinstance(argument, str) else ' '.join(argument)}")
    status = 0
    try:
        target(argument)
    except KeyboardInterrupt:
        status = STOPPED
    except (NonFiniteLossError, NonFiniteEmbeddingsError) as error:
        print(error, file=sys.stderr)
        status = DIVERGED_STATUS
    except (UserError, OSError) as error:
        print(error, file=sys.stderr)
        status = 2
    sys.stdout.flush()
    sys.stderr.flush()
    if status:
        os._exit(status)


def _end_with(parent: int) -> None:
    """Be asked to stop, too, when the process ends that started this one, by whatever."""
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(TO_DEATH, signal.SIGTERM)
    if os.getppid() != parent:  # it has ended already
        os._exit(STOPPED)
