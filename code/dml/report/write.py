"""What report.py leaves in its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dml.report.groups import Group
from dml.report.plots import draw_correlations, draw_curves, draw_scatter
from dml.report.summary import Row
from dml.report.tables import FORMATS, SUFFIXES
from dml.writing import naming


def write_report(
    folder: Path, groups: Sequence[Group], rows: Sequence[Row], metrics: Sequence[str], *, split: str, caption: str
) -> list[Path]:
    """``table.md``, ``.tex`` and ``.csv``, ``curves.png``, and with two metrics or more ``correlation.png`` and
    ``scatter.png``, all in ``folder``, which is made if need be.

    Returns:
        their paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, table in FORMATS.items():
        written.append(folder / f"table{SUFFIXES[name]}")
        with naming(written[-1]):
            written[-1].write_text(table(rows, metrics, caption=caption))
    written.append(folder / "curves.png")
    draw_curves(groups, metrics, written[-1], split=split)
    if len(metrics) > 1:
        runs = [run for group in groups for run in group.runs]
        written += [folder / "correlation.png", folder / "scatter.png"]
        draw_correlations(runs, metrics, written[-2], split=split)
        draw_scatter(groups, metrics, written[-1], split=split)
    return written
