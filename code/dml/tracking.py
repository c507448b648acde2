"""The record of a run: metrics.jsonl always, the console, and Weights & Biases where it is wanted.

Names (spelled by ``dml.metric_names``): ``train/<name>`` of an epoch, ``eval/<name>`` of the test split,
``val/<name>`` of held-out classes, ``train_set/<name>`` of the training images, evaluated like the others.
"""

from __future__ import annotations

import json
import netrc
import os
import uuid
import warnings
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from dml.metric_names import label, value_text

METRICS_FILE = "metrics.jsonl"
TIMINGS = (
    "train/seconds",
    "train/data_wait",
    "train/images_per_second",
    "eval/seconds",
    "val/seconds",
    "train_set/seconds",
)
WANDB_HOST = "api.wandb.ai"
WITHOUT_IMAGES = frozenset({"curves", "confusion"})  # the pictures that show no image of the data


def say(text: str) -> None:
    """Print a line without tearing a progress bar."""
    tqdm.write(text)


def table(rows: dict[str, dict[str, float | list[float]]]) -> str:
    """Metrics, one row a line: {'before': {...}, 'after': {...}} → aligned text; shares in per cent, lists left out."""
    values = [item for metrics in rows.values() for item in metrics.items()]
    names = list(dict.fromkeys(name for name, value in values if not isinstance(value, list)))
    cells = [["", *map(label, names)]]
    cells += [
        [title, *(value_text(name, metrics[name]) if name in metrics else "–" for name in names)]
        for title, metrics in rows.items()
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


class Backend(Protocol):
    """Somewhere that metrics go besides the local record."""

    def log(self, metrics: dict[str, Any]) -> None: ...

    def log_pictures(self, pictures: dict[str, Path]) -> None: ...

    def close(self, *, failed: bool = False) -> None: ...


class Tracker:
    """Appends to the local record and passes on to W&B.

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
            ValueError: the record is shorter than the checkpoint says.
        """
        if self.size() < size:
            raise ValueError(f"{self.path} has {self.size()} bytes, its checkpoint was made at {size}: it was changed")
        if size or self.path.exists():
            os.truncate(self.path, size)

    def log(self, epoch: int, prefix: str, metrics: dict[str, float]) -> None:
        """Add ``{"epoch": epoch, "<prefix>/<name>": value, …}`` as one line."""
        line = {"epoch": epoch} | {f"{prefix}/{name}": value for name, value in metrics.items()}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self.backend is not None:
            self.backend.log(line)

    def log_pictures(self, pictures: dict[str, Path]) -> None:
        """Pass pictures on, name → path; they are in the run folder already."""
        sent = {name: path for name, path in pictures.items() if self.sends_images or name in WITHOUT_IMAGES}
        if self.backend is not None and sent:
            self.backend.log_pictures(sent)

    def close(self, *, failed: bool = False) -> None:
        """Finish the W&B run."""
        if self.backend is not None:
            self.backend.close(failed=failed)


def has_credentials() -> bool:
    """Whether W&B could log in without asking: WANDB_API_KEY, or its host in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = os.environ.get("NETRC")
        return netrc.netrc(file).authenticators(WANDB_HOST) is not None
    except (OSError, netrc.NetrcParseError):
        return False


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

    def log(self, metrics: dict[str, Any]) -> None:
        """One line of the record; ``epoch`` is the x-axis of every panel."""
        self._try("log metrics", lambda: self.run.log(metrics))

    def log_pictures(self, pictures: dict[str, Path]) -> None:
        """PNG files as images, HTML files as pages."""
        import wandb

        def entry(path: Path) -> Any:
            return wandb.Html(path.read_text()) if path.suffix == ".html" else wandb.Image(str(path))

        self._try("log pictures", lambda: self.run.log({f"pictures/{n}": entry(p) for n, p in pictures.items()}))

    def close(self, *, failed: bool = False) -> None:
        """Finish the run."""
        self._try("finish", lambda: self.run.finish(exit_code=int(failed)))


def open_wandb(
    mode: str, *, folder: Path, project: str, group: str, name: str, config: dict[str, Any]
) -> WandbBackend | None:
    """Start, or continue, the W&B run of ``folder``; None where it is off or cannot start.

    Args:
        mode: online, offline, disabled, or auto: online where credentials are there already, else disabled.
    """
    if mode == "auto":
        mode = "online" if has_credentials() and os.environ.get("WANDB_MODE") != "disabled" else "disabled"
    if mode == "disabled":
        return None
    if mode == "online" and not has_credentials():
        warnings.warn("--wandb online without credentials: recording offline (log in with `wandb login` to change it)")
        mode = "offline"
    try:
        import wandb

        os.environ["WANDB_MODE"] = mode  # the flag wins over the environment, which W&B would prefer
        id_file = folder / "wandb_id.txt"
        if not id_file.exists():
            id_file.write_text(uuid.uuid4().hex[:8])
        run = wandb.init(
            mode=mode,
            dir=str(folder),
            project=project,
            group=group,
            name=name,
            id=id_file.read_text().strip(),
            resume="allow",
            config=config,
            settings=wandb.Settings(silent=True, console="off"),
        )
        run.define_metric("epoch")
        run.define_metric("*", step_metric="epoch")
    except Exception as error:  # whatever W&B raises: a dashboard never stops a run
        warnings.warn(f"W&B could not start ({error}); this run goes on without it")
        return None
    return WandbBackend(run)
