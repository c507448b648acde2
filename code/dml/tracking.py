"""The record of a run: metrics.jsonl always, the console, and dashboards where they are wanted.

Names (spelled by ``dml.metric_names``): ``train/<name>`` of an epoch, ``eval/<name>`` of the test split,
``val/<name>`` of held-out classes, ``train_set/<name>`` of the training images, evaluated like the others.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from dml.columns import aligned
from dml.errors import UserError
from dml.metric_names import label, value_text, without_twins
from dml.writing import naming

METRICS_FILE = "metrics.jsonl"
BASELINES_FILE = "baselines.json"
TIMINGS = (
    "train/seconds",
    "train/data_wait",
    "train/images_per_second",
    "eval/seconds",
    "val/seconds",
    "train_set/seconds",
)
WITHOUT_IMAGES = frozenset({"curves", "confusion"})  # the pictures that show no image of the data


def say(text: str) -> None:
    """Print a line without tearing a progress bar.

    A pipe or terminal that is closed, or a full disk behind it, stops no run: that is said once, and nothing more.
    """
    try:
        tqdm.write(text)
    except OSError as error:
        drop_output(sys.stdout, error)
        warnings.warn(f"the output cannot be written to any more ({error.strerror}): going on without it")


def drop_output(stream: TextIO, error: OSError) -> None:
    """Let what is written to ``stream`` vanish from now on, since that failed with ``error``; raises that where the
    stream is no file of the system's."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):  # of a notebook, say
        raise error from None
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), number)


def table(rows: dict[str, dict[str, float | list[float]]]) -> str:
    """Metrics, one row a line: {'before': {...}, 'after': {...}} → aligned text; shares in per cent, lists left out.

    P@1 is left out beside an R@1 that is the same.
    """
    values = [item for metrics in rows.values() for item in metrics.items()]
    names = without_twins(dict.fromkeys(name for name, value in values if not isinstance(value, list)), rows.values())
    cells = [["", *map(label, names)]]
    cells += [
        [title, *(value_text(name, metrics[name]) if name in metrics else "–" for name in names)]
        for title, metrics in rows.items()
    ]
    return aligned(cells)


class Backend(Protocol):
    """Somewhere that metrics go besides the local record.

    Attributes:
        is_local: whether nothing that it is given leaves this machine.
    """

    is_local: bool

    def log(self, metrics: dict[str, Any], step: int) -> None: ...

    def log_pictures(self, pictures: dict[str, Path], step: int) -> None: ...

    def close(self, *, failed: bool = False) -> None: ...


class Dashboard:
    """What a backend has of its own: whatever goes wrong with it is a warning, once; the training goes on.

    Attributes:
        title: how people call it.
    """

    title = ""
    is_local = False
    has_failed = False

    def _try(self, action: str, call: Callable[[], object]) -> None:
        if self.has_failed:
            return
        try:
            call()
        except Exception as error:  # whatever its package raises: a dashboard never stops a run
            warnings.warn(f"{self.title} could not {action} ({error}); this run goes on without it")
            self.has_failed = True


class Tracker:
    """Appends to the local record and passes on to dashboards.

    What is passed on has a step that follows from the record, so that a run that is continued, offline too, goes on
    where it stood and a line that is computed again is no second one: after n lines pictures have the step 2 n, the
    next line has 2 n + 1.

    Args:
        folder: the run's.
        backends: the dashboards; None for one that is off.
        sends_images: whether pictures that show images of the data, or may, leave this machine.
    """

    def __init__(self, folder: Path, *backends: Backend | None, sends_images: bool = True):
        self.path = folder / METRICS_FILE
        self.backends = [backend for backend in backends if backend is not None]
        self.sends_images = sends_images

    def size(self) -> int:
        """Bytes of the record: a checkpoint keeps it, so that lines written after it can be cut off."""
        return self.path.stat().st_size if self.path.exists() else 0

    def rewind(self, size: int) -> None:
        """Cut off what was written after the checkpoint that a run continues from.

        Raises:
            UserError: the record is shorter than the checkpoint says.
        """
        if self.size() < size:
            raise UserError(f"{self.path} has {self.size()} bytes, its checkpoint was made at {size}: it was changed")
        if size or self.path.exists():
            os.truncate(self.path, size)

    def log(self, epoch: int, prefix: str, metrics: dict[str, float]) -> None:
        """Add ``{"epoch": epoch, "<prefix>/<name>": value, …}`` as one line."""
        line = {"epoch": epoch} | {f"{prefix}/{name}": value for name, value in metrics.items()}
        step = 2 * self._num_lines() + 1
        with naming(self.path), self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        for backend in self.backends:
            backend.log(line, step)

    def log_pictures(self, pictures: dict[str, Path]) -> None:
        """Pass pictures on, name → path; they are in the run folder already."""
        sent = {name: path for name, path in pictures.items() if self.sends_images or name in WITHOUT_IMAGES}
        for backend in self.backends:
            if shown := pictures if backend.is_local else sent:
                backend.log_pictures(shown, 2 * self._num_lines())

    def _num_lines(self) -> int:
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def close(self, *, failed: bool = False) -> None:
        """Finish what the dashboards have."""
        for backend in self.backends:
            backend.close(failed=failed)
