"""A comparison as bars with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from dml.compare.statistics import Estimate
from dml.metric_names import is_share, label
from dml.writing import save_figure

HEIGHT = 0.8  # of all bars of a method, of the room that it has
COLOURS = ("#c8ccd2", "#2f6db3", "#e08a2e")  # what chose is grey; what counts is not


def draw_bars(found: Mapping[str, Mapping[str, Mapping[str, Estimate | None]]], path: Path) -> None:
    """A panel for each metric, a row for each method, and in it a bar for each column, with its 95 % interval.

    Args:
        found: metric → column → method → mean and interval.
    """
    columns = next(iter(found.values()))
    methods = list(next(iter(columns.values())))
    figure = Figure(figsize=(1.2 + 4.2 * len(found), 1.4 + 0.55 * len(methods)), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    width = HEIGHT / len(columns)
    for axes, (metric, of_columns) in zip(panels, found.items(), strict=True):
        factor = 100 if is_share(metric) else 1
        for place, (column, of_methods) in enumerate(of_columns.items()):
            shown = [(row, e) for row, e in enumerate(map(of_methods.get, methods)) if e is not None]
            axes.barh(
                [row + (place + 0.5) * width - HEIGHT / 2 for row, _ in shown],
                [factor * e.mean for _, e in shown],
                height=0.9 * width,
                xerr=[factor * (e.half_width or 0) for _, e in shown],
                error_kw={"elinewidth": 1, "capsize": 2, "ecolor": "#333333"},
                color=COLOURS[place % len(COLOURS)],
                label=column,
            )
        axes.set_xlabel(f"{label(metric)}{', %' if is_share(metric) else ''}")
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        axes.set_ylim(len(methods) - 0.5, -0.5)  # the first one on top
        if is_share(metric):
            axes.set_xlim(left=0)  # an interval of few runs may reach below
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(methods)), methods, fontsize=9)
    figure.suptitle("mean and its 95 % confidence interval", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=8)
    save_figure(figure, path)
