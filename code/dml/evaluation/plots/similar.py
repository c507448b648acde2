"""A gallery of what a network finds similar, where no classes say what is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.evaluation.plots.gallery import QUERY, SHOWN_PIXELS, decimals_for, show_image
from dml.plain_text import plain_text
from dml.writing import save_figure

NEIGHBOUR = "#3465a4"


@plain_text()
def plot_similar(
    images: ImageRecords,
    queries: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    out_png: Path | str,
    *,
    value_name: str = "distance",
) -> None:
    """A row for each query: the query, then its nearest neighbours, file names above.

    Args:
        images: N of them.
        queries: (Q,) positions of the queries.
        indices: (Q, k) positions of their neighbours, nearest first.
        values: (Q, k) what stands under each neighbour.
        value_name: what ``values`` are.

    Raises:
        ValueError: shapes that do not fit.
        OSError: an image that cannot be read.
    """
    if indices.shape != values.shape or len(queries) != len(indices):
        raise ValueError(
            f"{len(queries)} queries, neighbours {indices.shape} and values {values.shape} do not fit together"
        )
    (rows, columns), decimals = indices.shape, decimals_for(values)
    figure = Figure(figsize=(1.25 * (columns + 1), 1.55 * rows + 0.75), layout="constrained")
    figure.suptitle(f"{rows} of {len(images):,} images, chosen at random, and what is nearest to them", fontsize=10)
    for axes, query, neighbours, below in zip(
        figure.subplots(rows, columns + 1, squeeze=False), queries, indices, values, strict=True
    ):
        show_image(
            axes[0], image_of(images, query, within=SHOWN_PIXELS), QUERY, Path(images.paths[query]).name, "query"
        )
        for cell, item, value in zip(axes[1:], neighbours, below, strict=True):
            show_image(
                cell,
                image_of(images, item, within=SHOWN_PIXELS),
                NEIGHBOUR,
                Path(images.paths[item]).name,
                f"{value:.{decimals}f}",
            )
    figure.supxlabel(f"nearest first; below: {value_name}", fontsize=8, color=QUERY)
    save_figure(figure, out_png)
