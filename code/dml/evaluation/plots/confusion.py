"""Which classes a classifier takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dml.evaluation.classification import confusion_matrix, top_confusions
from dml.plain_text import plain_text
from dml.writing import save_figure

MAX_CLASSES = 20
NAME_LENGTH = 26  # longer names lose their middle


def confused_classes(matrix: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` classes, in ascending order: both of the pair that is confused most often, of the next one, and
    so on, so that among them there is something to see; all if there are no more, the first ones if none is confused.
    """
    if len(matrix) <= count:
        return np.arange(len(matrix))
    classes = top_confusions(matrix, count).ravel()
    if not len(classes):
        return np.arange(count)
    _, first = np.unique(classes, return_index=True)
    chosen = classes[np.sort(first)]
    return np.sort(chosen[:count])


@plain_text()
def plot_confusion(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], out_png: Path | str) -> None:
    """The share of each class's images taken for each class; of more than 20 classes those confused most often.

    Args:
        labels: (N,) true classes.
        predicted: (N,) the first prediction.
        class_names: C names.
    """
    matrix = confusion_matrix(labels, predicted, len(class_names))
    shown = confused_classes(matrix, MAX_CLASSES)
    shares = (matrix / np.maximum(matrix.sum(1, keepdims=True), 1))[np.ix_(shown, shown)]
    names = [_fit(class_names[c]) for c in shown]
    side = 2.5 + 0.42 * len(shown)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        percent = round(100 * shares[row, column])
        if percent:
            colour = "white" if shares[row, column] > 0.5 else "#1f2933"
            axes.text(column, row, percent, ha="center", va="center", fontsize=8, color=colour)
    axes.set_xticks(range(len(shown)), names, rotation=90)
    axes.set_yticks(range(len(shown)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    which = "all classes" if len(shown) == len(class_names) else f"the {len(shown)} classes confused most often"
    axes.set_title(f"{which}, in per cent of each")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the class's test images", format=PercentFormatter(1.0))
    save_figure(figure, out_png)


def _fit(name: str) -> str:
    half = NAME_LENGTH // 2
    return name if len(name) <= NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"
