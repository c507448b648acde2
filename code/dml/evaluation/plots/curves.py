"""The curves of a run: training loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dml.record import read_record

CURVES = {
    "recall_at_1": "recall@1",
    "map_at_r": "MAP@R",
    "top_1": "top-1 accuracy",
    "top_5": "top-5 accuracy",
    "e_recall_at_1": "e_recall@1",
    "mAP_c": "mAP_c",
}
COLOURS = ("#1f4e79", "#c96a1b")  # most runs have one of these pairs
SPLITS = {"eval": ("test", "-"), "val": ("held-out", "--")}


def plot_curves(metrics_jsonl: Path | str, out_png: Path | str, *, title: str | None = None) -> None:
    """Training loss by epoch, and what of recall@1, MAP@R and accuracies the run has.

    Args:
        metrics_jsonl: a run's metrics.jsonl: an object a line, with ``epoch`` and names such as ``train/loss``
            and ``eval/recall_at_1``; epoch 0 is before training.
        title: above the picture; None: the name of the file's folder.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a line that is no JSON object, or nothing in the file to draw.
    """
    path = Path(metrics_jsonl)
    lines = read_record(path)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    figure.suptitle(title or path.resolve().parent.name)
    loss_axes, metric_axes = figure.subplots(1, 2)
    _draw(loss_axes, lines, "train/loss", color="#1f4e79", linestyle="-", label="training loss")
    loss_axes.set_ylabel("training loss, mean over the epoch")
    for prefix, (split, linestyle) in SPLITS.items():
        for color, (name, words) in zip(cycle(COLOURS), CURVES.items()):
            _draw(metric_axes, lines, f"{prefix}/{name}", color=color, linestyle=linestyle, label=f"{words}, {split}")
    if not (loss_axes.lines or metric_axes.lines):
        raise ValueError(f"{path} holds neither train/loss nor {' nor '.join(f'eval/{name}' for name in CURVES)}")
    metric_axes.set_ylabel("metric on evaluated images")
    metric_axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    metric_axes.set_ylim(0, 1)
    if metric_axes.lines:
        metric_axes.legend(frameon=False)
    for axes in (loss_axes, metric_axes):
        axes.set_xlabel("epoch (0: before training)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out_png, dpi=130)


def _draw(axes: Axes, lines: Sequence[dict], name: str, **style: str) -> None:
    points = {line["epoch"]: line[name] for line in lines if name in line and "epoch" in line}
    if points:
        epochs = sorted(points)
        axes.plot(epochs, [points[epoch] for epoch in epochs], marker="o", markersize=3, **style)
