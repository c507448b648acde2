"""What became of a run of a comparison: ``result.json`` in its folder, written once, when it has ended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dml.metric_names import best_of
from dml.metrics_file import json_object, read_record, read_utf8
from dml.writing import write_text_atomically

FILE_NAME = "result.json"
FINISHED, PRUNED, DIVERGED = "finished", "pruned", "diverged"


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes:
        state: ``finished``; ``pruned``, by the median of earlier trials; ``diverged``: its loss or its embeddings
            stopped being numbers.
        curve: epoch → the selecting metric on held-out classes, of a pruned run up to the epoch that decided.
        best: metrics on held-out classes of the best epoch.
        best_epoch: which that is.
        seconds: that its epochs and evaluations took.
    """

    state: str
    curve: dict[int, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    best_epoch: int | None = None
    seconds: float = 0.0

    @property
    def value(self) -> float | None:
        """The selecting metric at the best epoch; None of a run that diverged before any."""
        return self.curve.get(self.best_epoch) if self.best_epoch is not None else None


def curve_of(folder: Path, metric: str) -> dict[int, float]:
    """Epoch → ``val/<metric>`` so far; a line that is being written is left out."""
    return {line["epoch"]: line[f"val/{metric}"] for line in _lines(folder) if f"val/{metric}" in line}


def result_of(folder: Path, metric: str, state: str, *, until: int | None = None) -> Result:
    """What the record in ``folder`` says.

    Args:
        metric: that selects.
        until: the epoch that ended it; None: the last one on record.
    """
    lines = [line for line in _lines(folder) if until is None or line.get("epoch", 0) <= until]
    key = f"val/{metric}"
    curve = {line["epoch"]: line[key] for line in lines if key in line and line["epoch"] > 0}
    epoch = best_of(metric, sorted(curve.items()))
    best = next((line for line in lines if line.get("epoch") == epoch and key in line), {})
    values = {name.partition("/")[2]: value for name, value in best.items() if name.startswith("val/")}
    seconds = sum(value for line in lines for name, value in line.items() if name.endswith("/seconds"))
    return Result(state, curve, values, epoch, seconds)


def keep_result(folder: Path, result: Result) -> None:
    """Write ``result.json``, in one go."""
    write_text_atomically(json.dumps(asdict(result), indent=1) + "\n", folder / FILE_NAME)


def read_result(folder: Path) -> Result | None:
    """What ``keep_result`` wrote; None: the run has not ended. UserError for a file that is damaged."""
    file = folder / FILE_NAME
    try:
        stored = json_object(read_utf8(file), str(file))
    except FileNotFoundError:
        return None
    return result_from(stored)


def result_from(stored: Mapping[str, Any]) -> Result:
    """The result that ``asdict`` made a JSON object of. TypeError, KeyError or ValueError for another object."""
    return Result(**{**stored, "curve": {int(epoch): value for epoch, value in stored["curve"].items()}})


def _lines(folder: Path) -> list[dict[str, Any]]:
    """The record's lines that are complete; none without a record."""
    file = folder / "metrics.jsonl"
    try:
        return read_record(file)
    except FileNotFoundError:
        return []
    except ValueError:  # its last line is being written
        text = file.read_text(encoding="utf-8", errors="replace").rpartition("\n")[0]
        return [json.loads(line) for line in text.splitlines()]


def is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
