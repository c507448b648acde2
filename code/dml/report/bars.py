"""A picture of groups beside each other: bars with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dml.metric_names import is_share, label
from dml.plain_text import plain_text
from dml.report.groups import Group
from dml.report.legend import MOST_GROUPS, styles, titles
from dml.report.summary import Row
from dml.writing import save_figure

MOST_METRICS = 4
_BAR = 0.32  # inches
_UNTRAINED = "#b0b0b0"


@plain_text()
def draw_bars(groups: Sequence[Group], rows: Sequence[Row], metrics: Sequence[str], path: Path) -> None:
    """A panel for each of the first metrics: every group's mean at its last epoch with its 95 % confidence interval,
    and in grey what needs no training."""
    shown = [name for name in metrics if any(name in row.metrics for row in rows)][:MOST_METRICS]
    named = titles(groups, width=44)
    looks = styles(len(groups))
    last = [row for row in rows if row.choice == "last"]
    bars = [(title, row, look["color"]) for title, row, look in zip(named, last, looks, strict=False)]
    bars += [(row.title, row, _UNTRAINED) for row in rows if row.title]
    figure = Figure(figsize=(3.6 + 2.6 * len(shown), 1.2 + _BAR * len(bars)), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for axes, metric in zip(panels, shown, strict=True):
        places = [place for place, (_, row, _) in enumerate(bars) if metric in row.metrics]
        found = [bars[place][1].metrics[metric] for place in places]
        axes.barh(
            places,
            [statistic.mean for statistic in found],
            xerr=[math.nan if statistic.interval is None else statistic.interval for statistic in found],
            color=[bars[place][2] for place in places],
            error_kw={"elinewidth": 1, "capsize": 2},
        )
        axes.set_title(label(metric), fontsize=10)
        if is_share(metric):
            axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(axis="x", alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(bars)), [title for title, _, _ in bars], fontsize=8)
    panels[0].invert_yaxis()
    more = "" if len(groups) <= MOST_GROUPS else f"the first {MOST_GROUPS} of {len(groups)} groups; "
    figure.suptitle(f"{more}mean at the last epoch and its 95 % confidence interval", fontsize=9)
    save_figure(figure, path)
