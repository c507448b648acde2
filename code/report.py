#!/usr/bin/env python3
"""Finished runs → tables over seeds (Markdown, LaTeX, CSV) and pictures.

python code/report.py logs/cub --metrics recall_at_1 map_at_r --out report
python code/report.py 'logs/cub/*triplet*' --group-by loss --format latex
python code/report.py --wandb ENTITY/PROJECT
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

import sys

from dml.cli.entry import guarded
from dml.cli.report import parse_report, with_used_settings
from dml.errors import UserError
from dml.report.groups import group_runs, refuse_repeated_seeds
from dml.report.reading import read_runs
from dml.report.record import add_runs
from dml.report.settings import with_all_settings
from dml.report.summary import choose_metrics, explain, summarise
from dml.report.tables import FORMATS
from dml.report.wandb_runs import read_wandb_runs
from dml.report.write import write_report


def main() -> None:
    command = parse_report()
    if command.wandb:
        runs, skipped = read_wandb_runs(command.wandb, command.leave_out)
    else:
        runs, skipped = read_runs(command.places, command.leave_out)
    for name, reason in skipped.items():
        print(f"left out {name}: {reason}", file=sys.stderr)
    if not runs:
        raise UserError("no finished run is left to report on")
    if command.record is not None:
        print(f"{command.record}: {add_runs(command.record, runs)} more runs", file=sys.stderr)
    runs = with_used_settings(with_all_settings(runs))
    metrics = choose_metrics(runs, command.metrics, split=command.split)
    keys = [f"{command.split}/{metric}" for metric in metrics]
    groups = group_runs(runs, command.group_by, having=keys)
    refuse_repeated_seeds(groups)
    empty = len(group_runs(runs, command.group_by)) - len(groups)
    rows, caption = summarise(groups, metrics, split=command.split), explain(groups, empty=empty, split=command.split)
    shown = command.format or ("text" if sys.stdout.isatty() else "md")
    print(FORMATS[shown](rows, metrics, caption=caption, columns=command.columns))
    if shown == "csv":  # whose lines are for programs
        print(caption, file=sys.stderr)
    if command.out is not None:
        how = {"split": command.split, "caption": caption, "columns": command.columns}
        for path in write_report(command.out, groups, rows, metrics, **how):
            print(path, file=sys.stderr)


if __name__ == "__main__":
    guarded(main)
