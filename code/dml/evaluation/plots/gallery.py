"""A gallery of queries with their nearest neighbours, right and wrong marked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.plain_text import plain_text
from dml.writing import save_figure

RIGHT, WRONG, QUERY = "#2a8a3e", "#c93a3a", "#444444"
SHOWN_PIXELS = 256  # of the longer side; a photograph of 12 million pixels takes 36 MB
_NAME_LENGTH = 22  # characters of a class name that fit above an image


@plain_text()
def plot_gallery(
    query: ImageRecords,
    gallery: ImageRecords,
    indices: np.ndarray,
    similarities: np.ndarray,
    out_png: Path | str,
    *,
    num_queries: int = 8,
    num_neighbours: int = 8,
    value_name: str = "similarity",
    seed: int = 0,
    drawn_from: int | None = None,
) -> None:
    """A row for each of a few queries: the query, then its nearest neighbours, right and wrong marked.

    Half of the queries, as far as there are such, have a wrong nearest neighbour: the picture is to show the
    failures too, and its title says that it does.

    Args:
        query: Q images.
        gallery: N images, of classes in the same numbering; ``query`` itself where it is searched.
        indices: (Q, k) gallery indices of each query's neighbours, nearest first, without the query itself.
        similarities: (Q, k) what stands under each neighbour; an infinite one is none, and its place stays empty.
        num_queries, num_neighbours: rows, and neighbours in a row (at most k).
        value_name: what ``similarities`` are.
        seed: of the choice of queries.
        drawn_from: how many there are of whom the Q are a random part; None: they are all.

    Raises:
        ValueError: shapes that do not fit.
        OSError: an image that cannot be read.
    """
    indices, similarities = np.asarray(indices), np.asarray(similarities)
    if len(query) != len(indices) or indices.shape != similarities.shape:
        raise ValueError(
            f"{len(query)} queries, neighbours {indices.shape} and similarities {similarities.shape} do not fit"
            " together"
        )
    is_there = np.isfinite(similarities)
    right = (gallery.labels[indices[:, 0]] == query.labels) & is_there[:, 0]
    rows = _choose_queries(right, num_queries, seed)
    columns = min(num_neighbours, indices.shape[1])
    decimals = decimals_for(similarities[rows, :columns])
    figure = Figure(figsize=(1.25 * (columns + 1), 1.55 * len(rows) + 0.75), layout="constrained")
    figure.suptitle(_gallery_title(right, rows, drawn_from), fontsize=10)
    grid = figure.subplots(len(rows), columns + 1, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        show_image(
            axes[0], image_of(query, row, within=SHOWN_PIXELS), QUERY, query.class_names[query.labels[row]], "query"
        )
        for place, item in enumerate(indices[row, :columns]):
            if not is_there[row, place]:
                axes[place + 1].set_axis_off()
                continue
            label = gallery.labels[item]
            color = RIGHT if label == query.labels[row] else WRONG
            name, value = gallery.class_names[label], f"{similarities[row, place]:.{decimals}f}"
            show_image(axes[place + 1], image_of(gallery, item, within=SHOWN_PIXELS), color, name, value)
    figure.supxlabel(
        f"nearest first; below: {value_name}; green: the query's class, red: another", fontsize=8, color=QUERY
    )
    save_figure(figure, out_png)


def decimals_for(values: np.ndarray) -> int:
    """How many decimals, 2 to 5, tell values of the rows of (Q, k) apart in most rows; infinite ones are none."""
    there = np.where(np.isfinite(values), values, np.nan)
    known = there[~np.isnan(there).all(1)]
    if not len(known):
        return 2
    spread = float(np.median(np.nanmax(known, 1) - np.nanmin(known, 1)))
    return 2 if spread <= 0 else int(np.clip(np.ceil(-np.log10(spread)) + 1, 2, 5))


def _choose_queries(right: np.ndarray, num_queries: int, seed: int) -> np.ndarray:
    """Half of the queries wrong at rank 1, half right, as far as there are so many; right ones first."""
    generator = np.random.default_rng(seed)
    groups = [generator.permutation(np.flatnonzero(mask)) for mask in (right, ~right)]
    num_wrong = min(len(groups[1]), max(num_queries // 2, num_queries - len(groups[0])))
    return np.concatenate([groups[0][: num_queries - num_wrong], groups[1][:num_wrong]])


def _gallery_title(right: np.ndarray, rows: np.ndarray, drawn_from: int | None = None) -> str:
    shown = int((~right[rows]).sum())
    every = f"all {len(right):,} queries" if drawn_from is None else f"{len(right):,} of {drawn_from:,} queries"
    return (
        f"{len(rows)} queries, of which {shown} were chosen because their nearest neighbour is wrong\n"
        f"(of {every} {100 * (1 - right.mean()):.1f} % are)"
    )


def show_image(axes: Axes, image: Image.Image, color: str, name: str, value: str) -> None:
    """``image`` in a frame of ``color``, ``name`` above and ``value`` below it."""
    axes.imshow(image, aspect="equal")
    short = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    axes.set_title(short, fontsize=6, color=color, pad=4)
    axes.set_xlabel(value, fontsize=6.5, color=color, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2.5)
