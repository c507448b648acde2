"""Mean and standard deviation of a group's metrics, at each run's best epoch and at its last."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dml.errors import UserError
from dml.metric_names import ANSWERED, COUNTS, METRICS, label, metric_key
from dml.report.differences import unsaid_differences
from dml.report.groups import Group
from dml.report.runs import Run
from dml.tracking import TIMINGS

SPLITS = ("eval", "val", "train_set")


@dataclass(frozen=True)
class Statistic:
    """A metric over the runs of a group.

    Attributes:
        mean: of n values.
        deviation: their sample standard deviation, with n − 1; None of a single value.
        n: how many runs have the metric.
    """

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Row:
    """One group at one choice of epoch.

    Attributes:
        fields: what tells the group from others.
        choice: ``best`` or ``last``.
        epochs: the epoch of each run, ascending, each once.
        n: runs that have such an epoch.
        metrics: name → statistic; a metric that no run has is left out.
    """

    fields: dict[str, str]
    choice: str
    epochs: tuple[int, ...]
    n: int
    metrics: dict[str, Statistic]


def choose_metrics(runs: Sequence[Run], names: Sequence[str] = (), *, split: str = "eval") -> list[str]:
    """The metrics ``names``, in either spelling, or all that the runs have of ``split``, without timings.

    Raises:
        UserError: a metric that no run has.
    """
    keys = dict.fromkeys(key for run in runs for line in run.epochs.values() for key in line)
    known = [key.removeprefix(f"{split}/") for key in keys if key.startswith(f"{split}/") and key not in TIMINGS]
    known = [name for name in known if name not in COUNTS]
    wanted = [metric_key(name).removeprefix(f"{split}/") for name in names]
    for name in wanted:
        if name not in known:
            raise UserError(f"--metrics {name}: no run has it. They have, as {split}/...: {', '.join(known)}")
    if not known:
        raise UserError(f"no run has metrics of --split {split}")
    return wanted or known


def summarise(groups: Sequence[Group], metrics: Sequence[str], *, split: str = "eval") -> list[Row]:
    """Two rows for each group: its runs at their best epochs, and at their last."""
    return [_row(group, choice, metrics, split) for group in groups for choice in ("best", "last")]


def _row(group: Group, choice: str, metrics: Sequence[str], split: str) -> Row:
    epochs, lines = [], []
    for run in group.runs:
        epoch = run.best_epoch if choice == "best" else run.last_epoch
        if epoch is not None:
            epochs.append(epoch)
            lines.append(run.epochs[epoch])
    values = {name: [line[f"{split}/{name}"] for line in lines if f"{split}/{name}" in line] for name in metrics}
    found = {name: Statistic.of(numbers) for name, numbers in values.items() if numbers}
    return Row(group.fields, choice, tuple(sorted(set(epochs))), len(lines), found)


def explain(groups: Sequence[Group], *, empty: int = 0, split: str = "eval") -> str:
    """How the figures came about, and what the groups differ in that their names do not say, for a caption.

    Args:
        empty: how many more groups there are, which have no figure to show.
        split: whose figures they are.
    """
    keys = sorted({run.select_metric for group in groups for run in group.runs})
    chosen = {"eval": "the test split, as published, which is optimistic", "val": "held-out images"}
    by = [f"{label(key.partition('/')[2])} on {chosen[key.partition('/')[0]]}" for key in keys]
    figures = f"Mean ± sample standard deviation over n runs. Best epoch of each run by {'; '.join(by)}."
    left_out = [f"Left out, having none of these figures: {empty} group{'s' * (empty > 1)}."] if empty else []
    return " ".join([figures, *_unanswered(groups, split), *unsaid_differences(groups), *left_out])


def _unanswered(groups: Sequence[Group], split: str) -> list[str]:
    """A sentence on the queries that no figure of some metrics counts, where the runs have such."""
    keys = [f"{split}/{name}" for name in COUNTS]
    lines = (line for group in groups for run in group.runs for line in run.epochs.values())
    found = sorted({tuple(line[key] for key in keys) for line in lines if all(key in line for key in keys)})
    if not found:
        return []
    counts = ", ".join(f"{queries - answered} of {queries}" for queries, answered in found)
    names = " and ".join(metric.label for metric in METRICS.values() if metric.over == ANSWERED)
    return [f"{names} leave out queries without an answer in the gallery: {counts}."]
