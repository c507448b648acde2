"""The dashboard of a W&B project: python scripts/wandb/workspace.py ENTITY/PROJECT [--metrics map_at_r] [--split val]

A workspace with curves by group, final figures, pictures and throughput. Saving it is all that needs a login.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "code"))

import dml.packages  # noqa: E402, F401  # isort: skip

from dml.cli.plain_text import write_plainly  # noqa: E402
from dml.errors import UserError  # noqa: E402
from dml.metric_names import is_metric, label, metric_key, metric_of  # noqa: E402
from dml.packages import end_with  # noqa: E402
from dml.wandb_settings import has_credentials, server  # noqa: E402

MISSING = 'this needs wandb-workspaces, which is not installed: pip install ".[wandb]"'
SPLITS = {"eval": "test", "val": "held-out classes", "train_set": "training images"}
PICTURES = ("gallery", "curves", "t-SNE page", "confusion")
SPEEDS = {
    "train/images_per_second": "images a second",
    "train/seconds": "seconds of an epoch",
    "train/data_wait": "share of it that waits for images",
}


def create_parser() -> argparse.ArgumentParser:
    """The command line of this program."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0], allow_abbrev=False)
    parser.add_argument("project", metavar="ENTITY/PROJECT")
    parser.add_argument("--name", default="Deep metric learning", help="of the workspace (default: %(default)s)")
    parser.add_argument(
        "--metrics",
        nargs="+",
        default=["recall_at_1", "map_at_r"],
        metavar="NAME",
        help="default: recall_at_1 map_at_r",
    )
    parser.add_argument("--split", choices=SPLITS, default="eval", help="whose figures (default: eval, the test split)")
    return parser


def build(project: str, *, name: str, metrics: Sequence[str], split: str) -> Any:
    """The workspace, which nobody knows of before its ``save``.

    Args:
        project: ENTITY/PROJECT.
        name: its title.
        metrics: in either spelling, recall@1 or recall_at_1.
        split: eval, val or train_set.

    Raises:
        UserError: wandb-workspaces is not installed, no such form of a project's name, or no such metric.
    """
    try:
        import wandb_workspaces.reports.v2 as panels
        import wandb_workspaces.workspaces as workspaces
        from wandb_workspaces.expr import Metric, Ordering, Summary
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "wandb_workspaces":
            raise
        raise UserError(MISSING) from None
    if project.count("/") != 1 or not all(project.split("/")):
        raise UserError(f"{project}: it reads ENTITY/PROJECT")
    keys = [metric_key(metric) for metric in metrics]
    if unknown := [key for key in keys if not is_metric(key)]:
        raise UserError(f"--metrics {unknown[0]}: there is no such metric (docs/metrics.md)")
    bands = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def curve(key: str, title: str) -> Any:
        return panels.LinePlot(title=title, x="epoch", y=[key], **bands)

    def bars(key: str, summary: str) -> Any:
        title = f"{label(key)}, {SPLITS[split]}, {'last epoch' if summary == 'last' else 'best epoch'}"
        return panels.BarPlot(
            title=title, metrics=[panels.SummaryMetric(f"{split}/{key}.{summary}")], orientation="h", **bands
        )

    summaries = [(key, summary) for key in keys for summary in (best_of(key), "last")]
    figures = [f"summary:{split}/{key}.{summary}" for key, summary in summaries]
    settings = ("optim.lr", "data.batch_size", "run.seed")
    curves = [curve(f"{split}/{key}", f"{label(key)}, {SPLITS[split]}") for key in keys]
    speeds = [curve(key, title) for key, title in SPEEDS.items()]
    sections = {
        "Curves": [*curves, curve("train/loss", "training loss")],
        "Final figures": [bars(*of_summary) for of_summary in summaries],
        "Pictures": [
            panels.MediaBrowser(title=name, media_keys=[f"pictures/{name}"], num_columns=3) for name in PICTURES
        ],
        "Throughput": [*speeds, curve(f"{split}/seconds", f"seconds of an evaluation, {SPLITS[split]}")],
    }
    first = summaries[0]
    lower_is_better = metric_of(first[0]).lower_is_better
    return workspaces.Workspace(
        entity=project.partition("/")[0],
        project=project.partition("/")[2],
        name=name,
        sections=[workspaces.Section(name=name, panels=found, is_open=True) for name, found in sections.items()],
        settings=workspaces.WorkspaceSettings(x_axis="epoch", max_runs=50),
        runset_settings=workspaces.RunsetSettings(
            groupby=[Metric("Group")],
            order=[Ordering(Summary(f"{split}/{first[0]}.{first[1]}"), ascending=lower_is_better)],
            pinned_columns=["run:displayName", *figures, *(f"config:{name}.value" for name in settings)],
        ),
    )


def best_of(key: str) -> str:
    """What the best value of a metric is called in the summary of a run."""
    return "min" if metric_of(key).lower_is_better else "max"


def main(argv: Sequence[str] | None = None) -> int:
    """Save the workspace and print its address."""
    write_plainly()
    command = create_parser().parse_args(argv)
    try:
        workspace = build(command.project, name=command.name, metrics=command.metrics, split=command.split)
        if not has_credentials():
            raise UserError(f"no credentials for {server()}: log in with `wandb login` or set WANDB_API_KEY")
    except UserError as error:
        end_with(str(error))
    print(workspace.save().url)
    return 0


if __name__ == "__main__":
    sys.exit(main())
