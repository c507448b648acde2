"""Which classes a classifier confuses most often, with the images that it mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.evaluation.classification import confusion_matrix, top_confusions
from dml.evaluation.plots.gallery import QUERY, RIGHT, SHOWN_PIXELS, WRONG, show_image
from dml.plain_text import plain_text
from dml.writing import save_figure

PAIRS, MISTAKEN, EXAMPLES = 8, 4, 2
_FILE_LENGTH = 20  # characters of a file's name that fit below an image
_NAME_LENGTH = 40  # characters of a class name that fit above a row of images


@plain_text()
def plot_confused_pairs(test: ImageRecords, predicted: np.ndarray, train: ImageRecords, out_png: Path | str) -> None:
    """A row for each of the 8 pairs that are confused most often: up to 4 test images of the one class that were taken
    for the other, then 2 training images of that other one to compare them with.

    Args:
        test: N images.
        predicted: (N,) what each was taken for.
        train: in the same numbering of the classes.

    Raises:
        OSError: an image that cannot be read.
    """
    matrix = confusion_matrix(test.labels, predicted, test.num_classes)
    pairs = top_confusions(matrix, PAIRS)
    most = min(MISTAKEN, int(matrix[tuple(pairs.T)].max(initial=1)))  # no room for images that no pair has
    columns = most + EXAMPLES
    rows = max(1, len(pairs))
    figure = Figure(figsize=(max(5.2, 1.3 * columns), 1.75 * rows + 0.6), layout="constrained")
    figure.suptitle(_title(matrix), fontsize=10)
    for part, (true, taken) in zip(figure.subfigures(rows, 1, squeeze=False)[:, 0], pairs, strict=False):
        images = int(matrix[true].sum())
        names = [_fit(test.class_names[c]) for c in (true, taken)]
        part.suptitle(f"{names[0]} taken for {names[1]}: {matrix[true, taken]} of {images}", fontsize=8, color=WRONG)
        grid = part.subplots(1, columns)
        mistaken = np.flatnonzero((test.labels == true) & (predicted == taken))[:MISTAKEN]
        examples = np.flatnonzero(train.labels == taken)[:EXAMPLES]
        for axes in grid:
            axes.set_axis_off()
        for axes, index in zip(grid[most - len(mistaken) :], mistaken, strict=False):  # beside the examples
            axes.set_axis_on()
            show_image(axes, image_of(test, index, within=SHOWN_PIXELS), WRONG, "", _file(test, index))
        for axes, index in zip(grid[most:], examples, strict=False):
            axes.set_axis_on()
            show_image(axes, image_of(train, index, within=SHOWN_PIXELS), RIGHT, "", _file(train, index))
    figure.supxlabel(
        "red: test images; green: training images of the class that they were taken for", fontsize=8, color=QUERY
    )
    save_figure(figure, out_png)


def _title(matrix: np.ndarray) -> str:
    total, wrong = int(matrix.sum()), int(matrix.sum() - matrix.trace())
    if not wrong:
        return f"none of {total:,} test images is mistaken"
    return f"the pairs of classes confused most often\n({wrong:,} of {total:,} test images are mistaken)"


def _file(records: ImageRecords, index: int) -> str:
    """An image's name, short enough to stand below it."""
    name = Path(records.paths[index]).name
    return name if len(name) <= _FILE_LENGTH else f"…{name[1 - _FILE_LENGTH :]}"


def _fit(name: str) -> str:
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
