"""Weights & Biases: what a run is given there, and how it starts."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from dml.metric_names import is_metric, metric_of
from dml.redact import redact_command
from dml.tracking import Dashboard
from dml.wandb_settings import choose_mode, has_identity, run_identity, server, setting

WANDB_PROJECT = "deep-metric-learning"  # where nothing says otherwise
INIT_TIMEOUT = 20.0  # seconds to wait for a server of W&B
LONGEST_TAG = 64  # characters that W&B takes


class WandbBackend(Dashboard):
    """Weights & Biases."""

    title = "W&B"

    def __init__(self, run: Any):
        self.run, self._defined = run, set()

    def log(self, metrics: dict[str, Any], step: int) -> None:
        """One line of the record; ``epoch`` is the x-axis of every panel."""
        self._try("define metrics", lambda: self._define(metrics))
        self._try("log metrics", lambda: self.run.log(metrics, step=step, commit=True))

    def _define(self, metrics: dict[str, Any]) -> None:
        """Have the summary of each metric hold its best value, as ``max`` or ``min``, beside its ``last``."""
        for key in [key for key in metrics if key not in self._defined]:
            name = key.partition("/")[2]
            if is_metric(name):
                best = "min" if metric_of(name).lower_is_better else "max"
                self.run.define_metric(key, step_metric="epoch", summary=f"{best},last")
            self._defined.add(key)

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
    tags: Sequence[str] = (),
) -> WandbBackend | None:
    """Start, or continue, the W&B run of ``folder``; None where it is off or cannot start.

    Args:
        mode: online, offline, disabled, or auto: see ``choose_mode``. A server that cannot be reached is waited for
            INIT_TIMEOUT seconds; then the run is recorded offline.
        typed, otherwise: project, group, name and job type; see ``run_identity``.
        tags: of a new run, where the environment has none; a run that goes on keeps those that it was given meanwhile.
    """
    mode = choose_mode(mode)
    if mode == "disabled":
        return None
    try:
        import wandb

        known = has_identity(folder)
        identity: dict[str, Any] = {**run_identity(folder, typed=typed, otherwise=otherwise)}
        if tags and not known and not setting("run_tags"):
            identity["tags"] = [tag[:LONGEST_TAG] for tag in tags]
        start = partial(_start, wandb, folder, identity, config)
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


def _start(wandb: Any, folder: Path, identity: dict[str, Any], config: dict[str, Any], mode: str) -> Any:
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
