"""Pictures of many runs: curves over epochs with a band for each group, and how metrics go together."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from scipy import stats

from dml.metric_names import is_share, label
from dml.report.groups import Group
from dml.report.runs import Run

_COLUMNS = 3
_LINESTYLES = ("-", "--", ":", "-.")
_MOST_TITLES = 60  # characters of a legend's entry


def draw_curves(groups: Sequence[Group], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """A panel for each metric: the mean over a group's runs by epoch, in a band of ± one standard deviation."""
    figure, panels = _panels(len(metrics))
    for axes, metric in zip(panels, metrics, strict=True):
        for number, group in enumerate(groups):
            _draw_band(axes, group, f"{split}/{metric}", **_style(number))
        _format(axes.yaxis, metric)
        axes.set_title(label(metric), fontsize=10)
        axes.set_xlabel("epoch (0: before training)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _finish(figure, panels, path)


def draw_scatter(groups: Sequence[Group], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """The first metric against each other one: a point for each run and epoch, a colour for each group."""
    first, *others = metrics
    figure, panels = _panels(len(others))
    for axes, metric in zip(panels, others, strict=True):
        for number, group in enumerate(groups):
            points = observations(group.runs, [first, metric], split=split)
            style = {"color": _style(number)["color"], "marker": "osD^"[number // 10 % 4]}
            axes.scatter(points[:, 1], points[:, 0], s=14, alpha=0.6, linewidths=0, label=_title(group), **style)
        runs = [run for group in groups for run in group.runs]
        pearson, spearman = correlations(observations(runs, [first, metric], split=split))
        axes.set_title(f"Pearson {_coefficient(pearson[0, 1])}, Spearman {_coefficient(spearman[0, 1])}", fontsize=10)
        axes.set_xlabel(label(metric))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _format(axes.xaxis, metric)
        _format(axes.yaxis, first)
        if axes.get_subplotspec().is_first_col():
            axes.set_ylabel(label(first))
    _finish(figure, panels, path)


def draw_correlations(runs: Sequence[Run], metrics: Sequence[str], path: Path, *, split: str = "eval") -> None:
    """A map of all pairs of metrics over runs and epochs: Pearson's coefficient below the diagonal, Spearman's
    above it."""
    points = observations(runs, metrics, split=split)
    pearson, spearman = correlations(points)
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
    axes.set_title(f"below: Pearson, above: Spearman\n{len(points)} points of {len(runs)} runs", fontsize=10)
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=130)


def observations(runs: Sequence[Run], metrics: Sequence[str], *, split: str = "eval") -> np.ndarray:
    """(P, M) float64 values of the metrics, a row for each run and epoch that has them all."""
    keys = [f"{split}/{metric}" for metric in metrics]
    lines = [line for run in runs for _, line in sorted(run.epochs.items()) if all(key in line for key in keys)]
    return np.array([[line[key] for key in keys] for line in lines], dtype=np.float64).reshape(-1, len(keys))


def correlations(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's and Spearman's coefficients of the columns of ``points`` (P, M): (M, M) each, −1..1.

    NaN where a column is constant, or with fewer than three points.
    """
    size = points.shape[1]
    if len(points) < 3:
        return np.full((size, size), np.nan), np.full((size, size), np.nan)
    ranks = stats.rankdata(points, axis=0)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.corrcoef(points, rowvar=False), np.corrcoef(ranks, rowvar=False)


def _draw_band(axes: Axes, group: Group, key: str, **style: str) -> None:
    values: dict[int, list[float]] = {}
    for run in group.runs:
        for epoch, line in run.epochs.items():
            if key in line:
                values.setdefault(epoch, []).append(line[key])
    epochs = sorted(values)
    mean = np.array([statistics.fmean(values[epoch]) for epoch in epochs])
    deviation = np.array([statistics.stdev(values[e]) if len(values[e]) > 1 else 0.0 for e in epochs])
    axes.plot(epochs, mean, marker="o", markersize=3, label=_title(group), **style)
    axes.fill_between(epochs, mean - deviation, mean + deviation, color=style["color"], alpha=0.18, linewidth=0)


def _title(group: Group) -> str:
    title = group.title if len(group.title) <= _MOST_TITLES else group.title[: _MOST_TITLES - 1] + "…"
    return f"{title} (n={len(group.runs)})"


def _panels(number: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``number`` panels, at most three in a row."""
    columns = 2 if number == 4 else min(number, _COLUMNS)
    rows = math.ceil(number / columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in grid[number:]:
        unused.set_visible(False)
    return figure, list(grid[:number])


def _style(number: int) -> dict[str, str]:
    """Ten colours, then the same with another line."""
    colour = matplotlib.colors.to_hex(matplotlib.colormaps["tab10"](number % 10))
    return {"color": colour, "linestyle": _LINESTYLES[number // 10 % len(_LINESTYLES)]}


def _format(axis: matplotlib.axis.Axis, metric: str) -> None:
    if is_share(metric):
        axis.set_major_formatter(PercentFormatter(1.0))


def _coefficient(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _finish(figure: Figure, panels: Sequence[Axes], path: Path) -> None:
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, titles = panels[0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower center", ncols=1 if len(titles) < 4 else 2, frameon=False)
    figure.savefig(path, dpi=130)
