"""The record of a run for TensorBoard: event files in ``tensorboard/`` of its folder."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dml.errors import UserError
from dml.metrics_file import read_record, read_utf8
from dml.tracking import METRICS_FILE, Dashboard

FOLDER = "tensorboard"
MISSING = '--tracker tensorboard needs TensorBoard, which is not installed: pip install ".[tensorboard]"'


def require_tensorboard() -> None:
    """UserError if it is not installed."""
    if find_spec("tensorboard") is None:
        raise UserError(MISSING)


class TensorBoardBackend(Dashboard):
    """Scalars by epoch, pictures and the configuration of the run in ``folder``.

    A session begins them anew from the record once that is cut to its checkpoint: a line that is computed again after a
    kill is there once, and a finished run that is continued with ``--tracker`` is there from its beginning.
    """

    title = "TensorBoard"
    is_local = True

    def __init__(self, folder: Path):
        self.folder, self._events = folder, None

    def log(self, metrics: dict[str, Any], step: int) -> None:
        """One line of the record, which holds it already."""
        self._try("log metrics", lambda: self._begin() if self._events is None else self._add(metrics))

    def log_pictures(self, pictures: dict[str, Path], step: int) -> None:
        """PNG files; TensorBoard shows no pages."""
        self._try("log pictures", lambda: self._add_pictures(pictures))

    def close(self, *, failed: bool = False) -> None:
        """Write what is left, of a session that had nothing to add all of it."""
        self._try("finish", self._finish)

    def _finish(self) -> None:
        if self._events is None:
            self._begin()
        self._events.close()

    def _begin(self) -> None:
        """Write the record so far."""
        shutil.rmtree(self.folder / FOLDER, ignore_errors=True)
        from torch.utils.tensorboard import SummaryWriter

        self._events, self.epoch = SummaryWriter(str(self.folder / FOLDER)), 0
        config = self.folder / "config.json"
        if config.exists():
            self._events.add_text("config", f"```json\n{read_utf8(config)}\n```")
        if (self.folder / METRICS_FILE).exists():
            for line in read_record(self.folder / METRICS_FILE):
                self._add(line)

    def _add(self, line: dict[str, Any]) -> None:
        self.epoch = line["epoch"]
        for name, value in line.items():
            if name != "epoch" and isinstance(value, int | float):
                self._events.add_scalar(name, value, self.epoch)
        self._events.flush()

    def _add_pictures(self, pictures: dict[str, Path]) -> None:
        import numpy as np
        from PIL import Image

        if self._events is None:
            self._begin()
        for name, path in pictures.items():
            if path.suffix == ".png":
                pixels = np.asarray(Image.open(path).convert("RGB"))
                self._events.add_image(f"pictures/{name}", pixels, self.epoch, dataformats="HWC")
        self._events.flush()
