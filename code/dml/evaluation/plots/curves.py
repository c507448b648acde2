"""The curves of a run: training loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dml.plain_text import plain_text
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
LOSS = "train/loss"
METRICS = {f"{split}/{name}" for split in SPLITS for name in CURVES}


@plain_text()
def plot_curves(metrics_jsonl: Path | str, out_png: Path | str, *, title: str | None = None) -> None:
    """Training loss by epoch, and what of recall@1, MAP@R and accuracies the run has; a panel for each that is there.

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
    on_record = {name for line in lines if "epoch" in line for name in line}
    panels = [draw for draw, names in ((_draw_loss, {LOSS}), (_draw_metrics, METRICS)) if names & on_record]
    if not panels:
        raise ValueError(f"{path} holds neither {LOSS} nor {' nor '.join(f'eval/{name}' for name in CURVES)}")
    figure = Figure(figsize=(5 * len(panels), 3.8), layout="constrained")
    figure.suptitle(title or path.resolve().parent.name)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, lines)
        axes.set_xlabel("epoch (0: before training)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(out_png, dpi=130)


def _draw_loss(axes: Axes, lines: Sequence[dict]) -> None:
    _draw(axes, lines, LOSS, color=COLOURS[0], linestyle="-", label="training loss")
    axes.set_ylabel("training loss, mean over the epoch")


def _draw_metrics(axes: Axes, lines: Sequence[dict]) -> None:
    for prefix, (split, linestyle) in SPLITS.items():
        for color, (name, words) in zip(cycle(COLOURS), CURVES.items()):
            _draw(axes, lines, f"{prefix}/{name}", color=color, linestyle=linestyle, label=f"{words}, {split}")
    axes.set_ylabel("metric on evaluated images")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1)
    axes.legend(frameon=False)


def _draw(axes: Axes, lines: Sequence[dict], name: str, **style: str) -> None:
    points = {line["epoch"]: line[name] for line in lines if name in line and "epoch" in line}
    if points:
        epochs = sorted(points)
        axes.plot(epochs, [points[epoch] for epoch in epochs], marker="o", markersize=3, **style)
