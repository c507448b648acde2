"""Finished runs, read from their folders."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dml.data.run_split import data_digest_of_run
from dml.errors import UserError
from dml.metric_names import TOTAL_SECONDS, best_of
from dml.metrics_file import json_object, read_record, read_utf8
from dml.places import from_home
from dml.report.data import DATA, with_data
from dml.tracking import BASELINES_FILE, METRICS_FILE

CONFIG_FILE = "config.json"
RUN_FILES = (CONFIG_FILE, METRICS_FILE, "last.pt")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: where it was read from.
        config: setting → value, the names being section and field: ``optim.lr``, ``loss.options.margin``.
        epochs: epoch → key → value, epoch 0 being before training; only finite numbers. Among them ``total_seconds`` of
            each split: of all training and evaluation up to there.
        stored: the configuration as it was recorded, section by section.
        baselines: title → metric → value on the test split, of what needs no training.
    """

    name: str
    config: dict[str, Any]
    epochs: dict[int, dict[str, float]]
    stored: Mapping[str, Any] = field(default_factory=dict, repr=False)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)

    @property
    def images(self) -> tuple[Any, ...]:
        """Name and digest of what it was trained and tested on."""
        return tuple(self.config.get(name) for name in DATA)

    @property
    def select_metric(self) -> str:
        """The key in the record of the metric that chose the best epoch: on held-out classes where they did."""
        held_out = any(key.startswith("val/") for line in self.epochs.values() for key in line)
        split = "val" if held_out and self.config.get("evaluation.select") != "test" else "eval"
        return f"{split}/{self.config.get('evaluation.select_metric', 'recall_at_1')}"

    @property
    def best_epoch(self) -> int | None:
        """The first of the epochs at which the selecting metric is best; None if it was never recorded."""
        key = self.select_metric
        values = [(epoch, line[key]) for epoch, line in sorted(self.epochs.items()) if epoch > 0 and key in line]
        return best_of(key.partition("/")[2], values)

    @property
    def last_epoch(self) -> int:
        """The last one on record."""
        return max(self.epochs)

    def without(self, settings: Collection[str]) -> Run:
        """The same run without some settings, named as in ``config``."""
        return replace(self, config={name: value for name, value in self.config.items() if name not in settings})

    def has(self, keys: Collection[str]) -> bool:
        """Whether any of ``keys`` is on record, at any epoch."""
        return any(key in line for line in self.epochs.values() for key in keys)

    @property
    def is_judged_once(self) -> bool:
        """Whether one epoch after the first step was evaluated, the last, so that nothing chose it."""
        evaluated = [epoch for epoch, line in self.epochs.items() if epoch > 0 and self.select_metric in line]
        return evaluated == [self.last_epoch]


def run_from_lines(name: str, config: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> Run:
    """A run from its configuration, section by section, and the lines of its record.

    Raises:
        UserError: a configuration that is none of a training, or a record that ends before the last epoch.
    """
    settings = with_data(flat(config))
    last = settings.get("optim.epochs")
    if not isinstance(last, int):
        raise UserError("its configuration does not say how many epochs it was to train")
    epochs: dict[int, dict[str, float]] = {}
    for line in lines:
        if not isinstance(line.get("epoch"), int):
            continue
        values = {key: value for key, value in line.items() if "/" in key and _is_number(value)}
        epochs.setdefault(line["epoch"], {}).update(values)
    reached = max(epochs, default=0)
    if reached < last:
        raise UserError(f"unfinished, {reached} of {last} epochs on record")
    return Run(name, settings, _with_total_seconds(epochs), config)


def _with_total_seconds(epochs: Mapping[int, dict[str, float]]) -> dict[int, dict[str, float]]:
    found, total = {}, 0.0
    for epoch, line in sorted(epochs.items()):
        total += sum(value for key, value in line.items() if key.endswith("/seconds"))
        splits = {key.partition("/")[0] for key in line} - {"train"} if total else ()
        found[epoch] = line | {f"{split}/{TOTAL_SECONDS}": total for split in splits}
    return found


def read_run(folder: Path) -> Run:
    """The run in ``folder``. UserError or OSError saying what is wrong with it."""
    if not (folder / CONFIG_FILE).is_file():
        raise UserError(f"no {CONFIG_FILE}: what was trained is not on record")
    config = json_object(read_utf8(folder / CONFIG_FILE), CONFIG_FILE)
    if not (folder / METRICS_FILE).is_file():
        raise UserError(f"no {METRICS_FILE}: no epoch was completed")
    digest = data_digest_of_run(folder)
    if digest is not None:
        config = config | {"data": config.get("data", {}) | {"digest": digest}}
    run = run_from_lines(str(folder), config, read_record(folder / METRICS_FILE))
    return replace(run, baselines=_baselines_of(folder))


def _baselines_of(folder: Path) -> dict[str, dict[str, float]]:
    """Of a run that looked at what needs no training. UserError for a file that says something else."""
    if not (folder / BASELINES_FILE).is_file():
        return {}
    found = json_object(read_utf8(folder / BASELINES_FILE), BASELINES_FILE)
    if not all(isinstance(values, dict) for values in found.values()):
        raise UserError(f"{BASELINES_FILE}: not a table of metrics")
    return {title: {key: value for key, value in row.items() if _is_number(value)} for title, row in found.items()}


def run_folders(place: str) -> list[Path]:
    """Folders with any file of a run: one without its configuration is to be named, too. UserError if none."""
    path = from_home(place)
    # A pattern may be absolute, which Path.glob refuses.
    given = [path] if path.exists() else sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    found = [run for folder in given for run in sorted({f.parent for n in RUN_FILES for f in folder.rglob(n)})]
    if not found:
        raise UserError(f"{place}: no run folder there, which would hold a {CONFIG_FILE}")
    return found


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names, lists as tuples of words so that they can be compared."""
    settings: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            settings |= flat(value, f"{prefix}{key}.")
        else:
            settings[f"{prefix}{key}"] = tuple(map(str, value)) if isinstance(value, list) else value
    return settings


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
