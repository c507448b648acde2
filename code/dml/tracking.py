"""The record of a run: metrics.jsonl always, the console, and Weights & Biases where it is wanted.

Names (spelled by ``dml.metric_names``): ``train/<name>`` of an epoch, ``eval/<name>`` of the test split,
``val/<name>`` of held-out classes, ``train_set/<name>`` of the training images, evaluated like the others.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TextIO

from tqdm import tqdm

from dml.columns import aligned
from dml.errors import UserError
from dml.metric_names import label, value_text, without_twins
from dml.redact import redact_command
from dml.wandb_settings import choose_mode, run_identity, server, setting
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
WANDB_PROJECT = "deep-metric-learning"  # where nothing says otherwise
INIT_TIMEOUT = 20.0  # seconds to wait for a server of W&B


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
    """Somewhere that metrics go besides the local record."""

    def log(self, metrics: dict[str, Any], step: int) -> None: ...

    def log_pictures(self, pictures: dict[str, Path], step: int) -> None: ...

    def close(self, *, failed: bool = False) -> None: ...


class Tracker:
    """Appends to the local record and passes on to W&B.

    What is passed on has a step that follows from the record, so that a run that is continued, offline too, goes on
    where it stood and a line that is computed again is no second one: after n lines pictures have the step 2 n, the
    next line has 2 n + 1.

    Args:
        folder: the run's.
        backend: W&B, or None.
        sends_images: whether pictures that show images of the data, or may, are passed on.
    """

    def __init__(self, folder: Path, backend: Backend | None = None, *, sends_images: bool = True):
        self.path = folder / METRICS_FILE
        self.backend, self.sends_images = backend, sends_images

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
        if self.backend is not None:
            self.backend.log(line, step)

    def log_pictures(self, pictures: dict[str, Path]) -> None:
        """Pass pictures on, name → path; they are in the run folder already."""
        sent = {name: path for name, path in pictures.items() if self.sends_images or name in WITHOUT_IMAGES}
        if self.backend is not None and sent:
            self.backend.log_pictures(sent, 2 * self._num_lines())

    def _num_lines(self) -> int:
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def close(self, *, failed: bool = False) -> None:
        """Finish the W&B run."""
        if self.backend is not None:
            self.backend.close(failed=failed)


class WandbBackend:
    """Weights & Biases. What goes wrong with it is a warning, once; the training goes on."""

    def __init__(self, run: Any):
        self.run = run

    def _try(self, action: str, call: Any) -> None:
        if self.run is None:
            return
        try:
            call()
        except Exception as error:  # whatever W&B raises: a dashboard never stops a run
            warnings.warn(f"W&B could not {action} ({error}); this run goes on without it")
            self.run = None

    def log(self, metrics: dict[str, Any], step: int) -> None:
        """One line of the record; ``epoch`` is the x-axis of every panel."""
        self._try("log metrics", lambda: self.run.log(metrics, step=step, commit=True))

    def log_pictures(self, pictures: dict[str, Path], step: int) -> None:
        """PNG files as images, HTML files as pages."""
        import wandb

        def entry(path: Path) -> Any:
            return wandb.Html(path.read_text()) if path.suffix == ".html" else wandb.Image(str(path))

        # Not committed: others may come at the same step.
        named = {f"pictures/{name}": path for name, path in pictures.items()}
        self._try(
            "log pictures",
            lambda: self.run.log({name: entry(path) for name, path in named.items()}, step=step, commit=False),
        )

    def close(self, *, failed: bool = False) -> None:
        """Finish the run."""
        self._try("finish", lambda: self.run.finish(exit_code=int(failed)))


@contextmanager
def _command_without_secrets() -> Iterator[None]:
    """The command line as it may be recorded, for what reads it, as W&B does."""
    words, sys.argv = sys.argv, redact_command(sys.argv)
    try:
        yield
    finally:
        sys.argv = words


def open_wandb(
    mode: str,
    *,
    folder: Path,
    typed: dict[str, str | None],
    otherwise: dict[str, str],
    config: dict[str, Any],
) -> WandbBackend | None:
    """Start, or continue, the W&B run of ``folder``; None where it is off or cannot start.

    Args:
        mode: online, offline, disabled, or auto: see ``choose_mode``. A server that cannot be reached is waited for
            INIT_TIMEOUT seconds; then the run is recorded offline.
        typed, otherwise: project, group and name; see ``run_identity``.
    """
    mode = choose_mode(mode)
    if mode == "disabled":
        return None
    try:
        import wandb

        start = partial(_start, wandb, folder, run_identity(folder, typed=typed, otherwise=otherwise), config)
        if mode == "online":
            try:
                return WandbBackend(start("online"))
            except Exception as error:  # whatever W&B raises: what it would have had is kept for it
                wandb.teardown()  # else it takes the run for one that is going on
                place = os.environ.get("WANDB_DIR") or folder
                warnings.warn(
                    f"W&B could not start at {server()} ({_first_line(error)}): recording offline;"
                    f" `wandb sync {place}/wandb/offline-run-*` sends it later"
                )
        return WandbBackend(start("offline"))
    except Exception as error:  # whatever W&B raises: a dashboard never stops a run
        warnings.warn(f"W&B could not start ({_first_line(error)}); this run goes on without it")
        return None


def _start(wandb: Any, folder: Path, identity: dict[str, str | None], config: dict[str, Any], mode: str) -> Any:
    """A run of W&B whose panels have the epoch as their x-axis."""
    patience = {} if setting("init_timeout") else {"init_timeout": INIT_TIMEOUT}
    # What a flag says wins; older W&B prefers these variables.
    with _environment(WANDB_MODE=mode, WANDB_DISABLED=None), _command_without_secrets():
        run = wandb.init(
            mode=mode,
            dir=None if os.environ.get("WANDB_DIR") else str(folder),
            resume="allow",
            config=config,
            allow_val_change=True,  # of a continued run: where files are, what its data are
            settings=wandb.Settings(silent=True, console="off", **patience),
            **identity,
        )
    run.config.update(config, allow_val_change=True)  # of a run that was continued with more epochs, say
    run.define_metric("epoch")
    run.define_metric("*", step_metric="epoch")
    return run


@contextmanager
def _environment(**variables: str | None) -> Iterator[None]:
    """Environment variables that are so within the context; None: not there."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        _set_environment(variables)
        yield
    finally:
        _set_environment(before)


def _set_environment(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
