"""A record of finished runs: a file of JSON lines, small enough to be kept with code, that tables are made from again.

It tells nothing of the machine. ``compare.py`` keeps the runs of a comparison so, ``report.py --record`` any others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dml.errors import UserError
from dml.metric_names import TOTAL_SECONDS
from dml.metrics_file import read_record
from dml.places import FILES, PLACES
from dml.report.runs import Run, run_from_lines
from dml.writing import cut_off_rest


def line_of_run(run: Run, **told: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a run: its settings without places, section by section, the figures of its best and last epoch
    and of the untrained network, of the others how long they took, and what needs no training.

    Args:
        told: section → setting → value, beside those of its configuration.
    """
    lines = [{"epoch": epoch, **_kept(run, epoch)} for epoch in sorted(run.epochs)]
    return {"config": without_places(run.stored) | told, "lines": lines, "baselines": run.baselines}


def _kept(run: Run, epoch: int) -> dict[str, float]:
    is_shown = epoch in (0, run.best_epoch, run.last_epoch)
    return {
        key: value
        for key, value in run.epochs[epoch].items()
        if key.endswith("/seconds") or (is_shown and not key.endswith(f"/{TOTAL_SECONDS}"))
    }


def add_line(file: Path, line: Mapping[str, Any]) -> None:
    """Add a JSON object to a record, in one go."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(line, sort_keys=True) + "\n")


def add_runs(file: Path, runs: Sequence[Run]) -> int:
    """Add those of ``runs`` that are not in the record yet, by the names of their data and their folders.

    Returns:
        how many were added.
    """
    known: set[str] = set()
    if file.is_file():
        cut_off_rest(file)
        known = {str(line.get("run")) for line in read_record(file)}
    new = {name: run for run in runs if (name := "/".join(Path(run.name).parts[-2:])) not in known}
    for name, run in new.items():
        add_line(file, {"run": name, **line_of_run(run)})
    return len(new)


def read_runs_of_record(file: Path) -> list[Run]:
    """The runs in a record, of its lines those of ``line_of_run``. UserError naming a bad line."""
    runs = []
    for number, line in enumerate(read_record(file), start=1):
        if "config" not in line:
            continue
        try:
            found = run_from_lines(str(line["run"]), line["config"], line["lines"])
            runs.append(replace(found, baselines=line.get("baselines", {})))
        except (UserError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{file}, line {number}: not a run ({error})") from None
    return runs


def without_places(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration, section by section, without what belongs to a machine; of files the name is left."""
    kept: dict[str, Any] = {}
    for section, values in config.items():
        if isinstance(values, Mapping):
            values = {key: value for key, value in values.items() if key not in PLACES}
            values = {key: Path(v).name if key in FILES and v else v for key, v in values.items()}
        kept[section] = values
    return kept
