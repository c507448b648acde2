"""Which figures of a table are the best, and which are as good as far as can be told."""

from __future__ import annotations

from collections.abc import Sequence

from dml.metric_names import best_of
from dml.report.summary import Row

BEST, CLOSE = "best", "close"


def marks_of(rows: Sequence[Row], metrics: Sequence[str]) -> dict[tuple[int, str], str]:
    """Place of a row and metric → ``BEST`` of the means, or ``CLOSE``: within the best one's confidence interval.

    Compared are groups over the same images and with the same choice of epoch, where there are two or more.
    """
    found: dict[tuple[int, str], str] = {}
    alike: dict[tuple, list[int]] = {}
    for place, row in enumerate(rows):
        if not row.title:
            alike.setdefault((row.images, row.choice), []).append(place)
    for places in alike.values():
        for metric in metrics:
            means = [(place, rows[place].metrics[metric].mean) for place in places if metric in rows[place].metrics]
            best = best_of(metric, means)
            if best is None or len(means) < 2:
                continue
            top, reach = rows[best].metrics[metric].mean, rows[best].metrics[metric].interval
            for place, mean in means:
                if mean == top:
                    found[place, metric] = BEST
                elif reach is not None and abs(mean - top) <= reach:
                    found[place, metric] = CLOSE
    return found
