"""A gallery of the images that a network is surest and least sure of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.evaluation.plots.gallery import QUERY, RIGHT, SHOWN_PIXELS, WRONG, show_image
from dml.plain_text import plain_text
from dml.writing import save_figure

COLUMNS = 8


@plain_text()
def plot_certainty(
    images: ImageRecords,
    uncertainty: np.ndarray,
    nearest_is_wrong: np.ndarray,
    out_png: Path | str,
    *,
    num_rows: int = 2,
) -> None:
    """Rows of the most certain images, then as many of the least certain, each from its extreme inwards.

    Args:
        images: N of them.
        uncertainty: (N,), written below each image; equal ones stay in the order of the images.
        nearest_is_wrong: (N,) bool, marked by the colour of the frame.
        num_rows: rows of either kind, 8 images each; fewer if there are not so many images.

    Raises:
        ValueError: shapes that do not fit.
        OSError: an image that cannot be read.
    """
    uncertainty, nearest_is_wrong = np.asarray(uncertainty), np.asarray(nearest_is_wrong)
    if not len(images) == len(uncertainty) == len(nearest_is_wrong):
        raise ValueError(
            f"{len(images)} images, {len(uncertainty)} uncertainties and {len(nearest_is_wrong)} answers do not fit"
            " together"
        )
    order = np.argsort(uncertainty, kind="stable")
    shown = min(num_rows * COLUMNS, max(1, len(order) // 2))
    height = -(-shown // COLUMNS)
    figure = Figure(figsize=(1.25 * COLUMNS, 1.55 * 2 * height + 1.1), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False)[:, 0]
    for part, title, rows in (
        (parts[0], "most certain", order[:shown]),
        (parts[1], "least certain", order[::-1][:shown]),
    ):
        wrong = 100 * nearest_is_wrong[rows].mean()
        part.suptitle(f"{title}: the nearest neighbour of {wrong:.0f} % of these is wrong", fontsize=10)
        grid = part.subplots(height, COLUMNS, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, row in zip(grid, rows, strict=False):
            axes.set_axis_on()
            color = WRONG if nearest_is_wrong[row] else RIGHT
            name = images.class_names[images.labels[row]]
            show_image(axes, image_of(images, row, within=SHOWN_PIXELS), color, name, f"{uncertainty[row]:.3g}")
    parts[1].supxlabel(
        f"below: uncertainty; green: the nearest neighbour is of the same class, red: it is not"
        f" (of all {len(order):,} images {100 * nearest_is_wrong.mean():.0f} %)",
        fontsize=8,
        color=QUERY,
    )
    save_figure(figure, out_png)
