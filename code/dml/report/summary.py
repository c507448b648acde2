"""Mean and standard deviation of a group's metrics, at each run's best epoch and at its last."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dml.confidence import half_width
from dml.errors import UserError
from dml.metric_names import ANSWERED, COUNTS, METRICS, TOTAL_SECONDS, label, metric_key, without_twins
from dml.report.differences import unsaid_differences
from dml.report.groups import ABSENT, Group
from dml.report.reported import Reported, reported_of
from dml.report.runs import Run
from dml.tracking import TIMINGS

SPLITS = ("eval", "val", "train_set")
UNTRAINED = "untrained"  # what dml.evaluation.baselines calls it, whose import takes torch


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

    @property
    def interval(self) -> float | None:
        """Half the width of the mean's 95 % confidence interval, by Student's t; None of a single value."""
        return None if self.deviation is None else half_width(self.deviation, self.n)

    @classmethod
    def of(cls, values: Sequence[float]) -> Statistic:
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Row:
    """One group at one choice of epoch.

    Attributes:
        fields: what tells the group from others.
        choice: ``best`` or ``last``; empty for what needs no training.
        epochs: the epoch of each run, ascending, each once.
        n: runs that have such an epoch.
        metrics: name → statistic; a metric that no run has is left out.
        images: name and digest of what they are about.
        title: of what needs no training; empty of a group.
        reported: metric → what the paper reports for all runs of the group, of a row at the best epoch.
    """

    fields: dict[str, str]
    choice: str
    epochs: tuple[int, ...]
    n: int
    metrics: dict[str, Statistic]
    images: tuple[Any, ...] = ()
    title: str = ""
    reported: dict[str, float] = field(default_factory=dict)


def choose_metrics(runs: Sequence[Run], names: Sequence[str] = (), *, split: str = "eval") -> list[str]:
    """The metrics ``names``, in either spelling, or all that the runs have of ``split``, without timings, of which
    ``total_seconds`` can be asked for.

    Raises:
        UserError: a metric that no run has.
    """
    keys = dict.fromkeys(key for run in runs for line in run.epochs.values() for key in line)
    known = [key.removeprefix(f"{split}/") for key in keys if key.startswith(f"{split}/") and key not in TIMINGS]
    known = [name for name in known if name not in COUNTS]
    wanted = [metric_key(name).removeprefix(f"{split}/") for name in names]
    shown = without_twins(known, [_of_split(line, split) for run in runs for line in run.epochs.values()])
    for name in wanted:
        if name not in known:
            raise UserError(f"--metrics {name}: no run has it. They have, as {split}/...: {', '.join(known)}")
    if not known:
        raise UserError(f"no run has metrics of --split {split}")
    return wanted or [name for name in shown if name != TOTAL_SECONDS]


def summarise(groups: Sequence[Group], metrics: Sequence[str], *, split: str = "eval") -> list[Row]:
    """Two rows for each group: its runs at their best epochs, and at their last; one where nothing but the last epoch
    of its runs was evaluated. Below them a row for each of what needs no training, where the runs looked at that on
    the test split."""
    rows = []
    for group in groups:
        choices = ("last",) if all(run.is_judged_once for run in group.runs) else ("best", "last")
        rows += [_row(group, choice, metrics, split) for choice in choices]
    return rows + (_baseline_rows(groups, metrics) if split == "eval" else [])


def _baseline_rows(groups: Sequence[Group], metrics: Sequence[str]) -> list[Row]:
    """Over the same images a baseline of several runs is one, of networks over all of their draws."""
    found: dict[tuple, dict[str, list[dict[str, float]]]] = {}
    for group in groups:
        for run in group.runs:
            untrained = {UNTRAINED: _of_split(run.epochs.get(0, {}), "eval")} if run.baselines else {}
            for title, values in (run.baselines | untrained).items():
                found.setdefault(run.images, {}).setdefault(title, []).append(values)
    rows = []
    for images, titles in found.items():
        for title, given in titles.items():
            distinct = [dict(pairs) for pairs in dict.fromkeys(tuple(sorted(values.items())) for values in given)]
            values = {name: [line[name] for line in distinct if name in line] for name in metrics}
            numbers = {name: Statistic.of(several) for name, several in values.items() if several}
            fields = _named(title, images, groups[0].fields)
            if numbers:
                rows.append(Row(fields, "", (), len(distinct), numbers, images, title))
    return rows


def _named(title: str, images: tuple[Any, ...], fields: Mapping[str, str]) -> dict[str, str]:
    """What stands in the columns that name a group: the baseline's title in the first one that is not of the images."""
    of_images = dict(zip(("data_name", "digest"), map(str, images), strict=False))
    named = {name: of_images.get(name, ABSENT) for name in fields}
    first = next((name for name in fields if name not in ("dataset", *of_images)), next(iter(fields), "run"))
    return named | {first: title}


def _of_split(line: Mapping[str, float], split: str) -> dict[str, float]:
    start = f"{split}/"
    return {key.removeprefix(start): value for key, value in line.items() if key.startswith(start)}


def _row(group: Group, choice: str, metrics: Sequence[str], split: str) -> Row:
    epochs, lines = [], []
    for run in group.runs:
        epoch = run.best_epoch if choice == "best" else run.last_epoch
        if epoch is not None:
            epochs.append(epoch)
            lines.append(run.epochs[epoch])
    values = {name: [line[f"{split}/{name}"] for line in lines if f"{split}/{name}" in line] for name in metrics}
    found = {name: Statistic.of(numbers) for name, numbers in values.items() if numbers}
    paper = paper_of(group) if choice == "best" and split == "eval" else None
    reported = {name: paper.metrics[name] for name in metrics if name in paper.metrics} if paper else {}
    epochs = tuple(sorted(set(epochs)))
    return Row(group.fields, choice, epochs, len(lines), found, group.runs[0].images, reported=reported)


def paper_of(group: Group) -> Reported | None:
    """What is reported for all runs of a group."""
    found = [reported_of(run.config) for run in group.runs]
    return found[0] if all(paper is found[0] for paper in found) else None


def explain(groups: Sequence[Group], *, empty: int = 0, split: str = "eval") -> str:
    """How the figures came about, and what the groups differ in that their names do not say, for a caption.

    Args:
        empty: how many more groups there are, which have no figure to show.
        split: whose figures they are.
    """
    keys = sorted({run.select_metric for group in groups for run in group.runs if not run.is_judged_once})
    chosen = {"eval": "the test split, as published, which is optimistic", "val": "held-out images"}
    by = [f"{label(key.partition('/')[2])} on {chosen[key.partition('/')[0]]}" for key in keys]
    figures = "Mean ± sample standard deviation over n runs."
    if by:
        figures += f" Best epoch of each run by {'; '.join(by)}."
    left_out = [f"Left out, having none of these figures: {empty} group{'s' * (empty > 1)}."] if empty else []
    papers = _papers(groups) if split == "eval" else []
    return " ".join([figures, *papers, *_unanswered(groups, split), *unsaid_differences(groups), *left_out])


def _papers(groups: Sequence[Group]) -> list[str]:
    """A sentence on what is reported, where anything is."""
    shown = [group for group in groups if not all(run.is_judged_once for run in group.runs)]  # with a best epoch
    found = dict.fromkeys(paper.paper for group in shown if (paper := paper_of(group)) is not None)
    said = f"Reported: the figure of the paper, of its best epoch on the test split ({'; '.join(found)})."
    return [said] if found else []


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
