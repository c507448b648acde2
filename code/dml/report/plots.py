"""Pictures of many runs: curves over epochs with a band for each group, and how metrics go together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dml.metric_names import is_share, label
from dml.plain_text import plain_text
from dml.report.correlation import correlations, epochs_of, observations, pair_counts
from dml.report.groups import Group
from dml.report.legend import styles, titles
from dml.report.runs import Run
from dml.writing import save_figure

_COLUMNS = 3
_LEGEND = 9  # points, the size of its letters
_CHARACTERS = 13  # of that size, to an inch
_HANDLE = 0.6  # inches beside an entry


@plain_text()
def draw_curves(groups: Sequence[Group], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """A panel for each metric: the mean over a group's runs by epoch, in a band of ± one standard deviation."""
    figure, panels = _panels(len(metrics))
    looks = styles(len(groups))
    for axes, metric in zip(panels, metrics, strict=True):
        for group, look in zip(groups, looks, strict=False):
            _draw_band(axes, group, f"{split}/{metric}", **look)
        _format(axes.yaxis, metric)
        axes.set_title(label(metric), fontsize=10)
        axes.set_xlabel("epoch (0: before training)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _finish(figure, panels, groups, looks, path)


@plain_text()
def draw_scatter(groups: Sequence[Group], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """The first metric against each other one: a point for each run and epoch, a colour for each group."""
    first, *others = metrics
    figure, panels = _panels(len(others))
    looks = [look | {"linestyle": ""} for look in styles(len(groups))]
    for axes, metric in zip(panels, others, strict=True):
        for group, look in zip(groups, looks, strict=False):
            points = observations(group.runs, [first, metric], split=split)
            axes.plot(points[:, 1], points[:, 0], markersize=4, alpha=0.6, markeredgewidth=0, **look)
        runs = [run for group in groups for run in group.runs]
        pearson, spearman = correlations(*_points(runs, [first, metric], split))
        axes.set_title(
            f"within epochs: Pearson {_coefficient(pearson[0, 1])}, Spearman {_coefficient(spearman[0, 1])}\n"
            f"{_basis(runs, [first, metric], split)}",
            fontsize=9,
        )
        axes.set_xlabel(label(metric))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _format(axes.xaxis, metric)
        _format(axes.yaxis, first)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(label(first))
    _finish(figure, panels, groups, looks, path)


@plain_text()
def draw_correlations(runs: Sequence[Run], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """A map of all pairs of metrics over runs, within epochs: Pearson's coefficient below the diagonal, Spearman's
    above it."""
    pearson, spearman = correlations(*_points(runs, metrics, split))
    values = np.tril(pearson, -1) + np.triu(spearman, 1)
    np.fill_diagonal(values, np.nan)
    side = 1.8 + 0.62 * len(metrics)
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad="#e8e8e8")
    image = axes.imshow(values, cmap=colours, vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        if row != column:
            dark = abs(value) > 0.6
            text = {"ha": "center", "va": "center", "fontsize": 8, "color": "white" if dark else "black"}
            axes.text(column, row, _coefficient(value), **text)
    names = [label(metric) for metric in metrics]
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_title(f"within epochs; below: Pearson, above: Spearman\n{_basis(runs, metrics, split)}", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    save_figure(figure, path)


def _points(runs: Sequence[Run], metrics: Sequence[str], split: str) -> tuple[np.ndarray, np.ndarray]:
    return observations(runs, metrics, split=split), epochs_of(runs, metrics, split=split)


def _draw_band(axes: Axes, group: Group, key: str, **style: str) -> None:
    values: dict[int, list[float]] = {}
    for run in group.runs:
        for epoch, line in run.epochs.items():
            if key in line:
                values.setdefault(epoch, []).append(line[key])
    epochs = sorted(values)
    mean = np.array([statistics.fmean(values[epoch]) for epoch in epochs])
    deviation = np.array([statistics.stdev(values[e]) if len(values[e]) > 1 else 0.0 for e in epochs])
    axes.plot(epochs, mean, markersize=3, **style)
    axes.fill_between(epochs, mean - deviation, mean + deviation, color=style["color"], alpha=0.18, linewidth=0)


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``number`` panels, at most three in a row."""
    columns = 2 if number == 4 else min(number, _COLUMNS)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[number:]:
        unused.set_visible(False)
    return figure, list(grid[:number])


def _format(axis: Axis, metric: str) -> None:
    if is_share(metric):
        axis.set_major_formatter(PercentFormatter(1.0))


def _coefficient(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _basis(runs: Sequence[Run], metrics: Sequence[str], split: str) -> str:
    """Over how many points, of how many runs, the pairs of ``metrics`` are compared."""
    pairs = np.triu_indices(len(metrics), 1)
    points = pair_counts(observations(runs, metrics, split=split))[pairs]
    of_runs = sum((pair_counts(observations([run], metrics, split=split)) > 0)[pairs].astype(int) for run in runs)
    return f"{_range(points, 'point')} of {_range(of_runs, 'run')}" + " for a pair" * (len(points) > 1)


def _range(counts: np.ndarray, noun: str) -> str:
    least, most = counts.min(), counts.max()
    number = str(least) if least == most else f"{least} to {most}"
    return f"{number} {noun}{'' if most == least == 1 else 's'}"


def _finish(
    figure: Figure, panels: Sequence[Axes], groups: Sequence[Group], looks: Sequence[dict[str, str]], path: Path
) -> None:
    """Add the legend of the groups that have a look, for which the figure grows, and save."""
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    width, height = figure.get_size_inches()
    columns = 2 if len(groups) > 3 and len(panels) > 1 else 1
    entries = titles(groups, width=int((width / columns - _HANDLE) * _CHARACTERS))[: len(looks)]
    options = {"loc": "outside lower center", "ncols": columns, "frameon": False, "fontsize": _LEGEND}
    figure.legend([Line2D([], [], **look) for look in looks], entries, **options)
    if len(groups) > len(looks):
        figure.suptitle(f"the first {len(looks)} of {len(groups)} groups", fontsize=10)
    lines = sum(entry.count("\n") + 1 for entry in entries) / columns
    figure.set_size_inches(width, height + 1.4 * _LEGEND / 72 * lines)
    save_figure(figure, path)
