"""Which classes a classifier takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from dml.plain_text import plain_text
from dml.writing import save_figure

MAX_CLASSES = 20
NAME_LENGTH = 26  # longer names lose their middle


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) int64: row c counts what the images of class c were taken for. O(N + C²)."""
    pairs = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def worst_classes(matrix: np.ndarray, count: int) -> np.ndarray:
    """The ``count`` classes of which the largest share is mistaken, in ascending order; ties by the lower number."""
    images = matrix.sum(1)
    mistaken = 1 - matrix.diagonal() / np.maximum(images, 1)
    return np.sort(np.argsort(np.where(images > 0, -mistaken, 1), kind="stable")[:count])


@plain_text()
def plot_confusion(labels: np.ndarray, predicted: np.ndarray, class_names: Sequence[str], out_png: Path | str) -> None:
    """The share of each class's images taken for each class; of more than 20 classes the 20 worst.

    Args:
        labels: (N,) true classes.
        predicted: (N,) the first prediction.
        class_names: C names.
    """
    matrix = confusion_matrix(labels, predicted, len(class_names))
    shown = worst_classes(matrix, MAX_CLASSES)
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
    which = "all" if len(shown) == len(class_names) else f"the {len(shown)} worst"
    axes.set_title(f"{which} classes, in per cent of each")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the class's test images", format=PercentFormatter(1.0))
    save_figure(figure, out_png)


def _fit(name: str) -> str:
    half = NAME_LENGTH // 2
    return name if len(name) <= NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"
