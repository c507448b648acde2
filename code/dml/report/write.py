"""What report.py leaves in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dml.report.bars import draw_bars
from dml.report.groups import Group
from dml.report.plots import draw_correlations, draw_curves, draw_scatter
from dml.report.summary import Row
from dml.report.tables import FORMATS, SUFFIXES
from dml.writing import naming


def write_report(
    folder: Path,
    groups: Sequence[Group],
    rows: Sequence[Row],
    metrics: Sequence[str],
    *,
    split: str,
    caption: str,
    columns: Sequence[str] = (),
) -> list[Path]:
    """``table.md``, ``.tex`` and ``.csv``, ``curves.png``, ``bars.png``, and with two metrics or more
    ``correlation.png`` and ``scatter.png``, all in ``folder``, which is made if need be.

    Returns:
        their paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, suffix in SUFFIXES.items():
        written.append(folder / f"table{suffix}")
        with naming(written[-1]):
            written[-1].write_text(FORMATS[name](rows, metrics, caption=caption, columns=columns))
    written += [folder / "curves.png", folder / "bars.png"]
    draw_curves(groups, metrics, written[-2], split=split)
    draw_bars(groups, rows, metrics, written[-1])
    if len(metrics) > 1:
        runs = [run for group in groups for run in group.runs]
        written += [folder / "correlation.png", folder / "scatter.png"]
        draw_correlations(runs, metrics, written[-2], split=split)
        draw_scatter(groups, metrics, written[-1], split=split)
    return written
