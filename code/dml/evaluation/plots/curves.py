"""The curves of a run: training loss and metrics by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dml.errors import UserError
from dml.metric_names import best_of, is_metric, is_share, label, metric_of
from dml.metrics_file import read_record
from dml.plain_text import plain_text
from dml.writing import save_figure

FIRST_CHOICE = ("recall_at_1", "map_at_r", "top_1", "top_5", "e_recall_at_1", "mAP_c")
"""Metrics that are drawn beside the one that chooses the best epoch, before any others."""
COLOURS = ("#1f4e79", "#c96a1b")  # as many metrics share a panel
BEST = "#2a8a3e"
SPLITS = {"eval": ("test", "-"), "val": ("held-out", "--")}
LOSS = "train/loss"


@plain_text()
def plot_curves(
    metrics_jsonl: Path | str,
    out_png: Path | str,
    *,
    select_metric: str | None = None,
    select_split: str = "eval",
    title: str | None = None,
) -> None:
    """Training loss by epoch, and the metric that chooses the best epoch beside another; a panel for each there is.

    Shares of one have one panel, in which there are two metrics at most, of the test split and of held-out images. A
    choosing metric with a unit of its own has another panel.

    Args:
        metrics_jsonl: a run's metrics.jsonl: an object a line, with ``epoch`` and names such as ``train/loss``
            and ``eval/recall_at_1``; epoch 0 is before training.
        select_metric: key of the metric that chooses the best epoch; None: one of ``FIRST_CHOICE`` does.
        select_split: "eval" or "val", where that metric chooses; its best epoch is marked.
        title: above the picture; None: the name of the file's folder.

    Raises:
        FileNotFoundError: no such file.
        UserError: a line that is no JSON object, or nothing in the file to draw.
    """
    path = Path(metrics_jsonl)
    lines = read_record(path)
    on_record = list(dict.fromkeys(name for line in lines if "epoch" in line for name in line))
    shares, others = _choose_metrics(on_record, select_metric)
    panels = [_draw_loss] if LOSS in on_record else []
    best = _best_epoch(lines, f"{select_split}/{select_metric}", select_metric)
    panels += [partial(_draw_metrics, metrics=metrics, best=best) for metrics in (shares, others) if metrics]
    if not panels:
        raise UserError(f"{path} holds neither {LOSS} nor eval/recall_at_1 nor another metric of {' or '.join(SPLITS)}")
    figure = Figure(figsize=(5 * len(panels), 3.8), layout="constrained")
    figure.suptitle(title or path.resolve().parent.name)
    for axes, draw in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, lines)
        axes.set_xlabel("epoch (0: before training)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, out_png)


def _choose_metrics(on_record: Sequence[str], select_metric: str | None) -> tuple[list[str], list[str]]:
    """The shares to draw, the choosing one first; and the choosing one if it is none."""
    parts = [name.partition("/") for name in on_record]
    there = dict.fromkeys(name for split, _, name in parts if split in SPLITS and is_metric(name))
    wanted = dict.fromkeys(name for name in (select_metric, *FIRST_CHOICE, *there) if name in there)
    shares = [name for name in wanted if is_share(name)]
    return shares[: len(COLOURS)], [name for name in wanted if name == select_metric and not is_share(name)]


def _draw_loss(axes: Axes, lines: Sequence[dict]) -> None:
    _draw(axes, lines, LOSS, color=COLOURS[0], linestyle="-", label="training loss")
    axes.set_ylabel("training loss, mean over the epoch")


def _best_epoch(lines: Sequence[dict], name: str, metric: str | None) -> int | None:
    """The first epoch that nothing trained longer or shorter beats; None: nothing chooses, or nothing was trained."""
    values = {line["epoch"]: line[name] for line in lines if name in line and line.get("epoch")}
    return None if metric is None else best_of(metric, sorted(values.items()))


def _draw_metrics(axes: Axes, lines: Sequence[dict], metrics: Sequence[str], best: int | None) -> None:
    for prefix, (split, linestyle) in SPLITS.items():
        for color, name in zip(COLOURS, metrics, strict=False):
            _draw(axes, lines, f"{prefix}/{name}", color=color, linestyle=linestyle, label=f"{label(name)}, {split}")
    if is_share(metrics[0]):
        axes.set_ylabel("metric on evaluated images")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.set_ylim(0, 1)
    else:
        better = "lower" if metric_of(metrics[0]).lower_is_better else "higher"
        axes.set_ylabel(f"{label(metrics[0])} ({better} is better)")
    if best is not None:
        axes.axvline(best, color=BEST, linewidth=1, linestyle=":", label=f"best epoch ({best})")
    axes.legend(frameon=False)


def _draw(axes: Axes, lines: Sequence[dict], name: str, **style: str) -> None:
    points = {line["epoch"]: line[name] for line in lines if name in line and "epoch" in line}
    if points:
        epochs = sorted(points)
        axes.plot(epochs, [points[epoch] for epoch in epochs], marker="o", markersize=3, **style)
