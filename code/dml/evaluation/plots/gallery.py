"""A gallery of queries with their nearest neighbours, right and wrong marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dml.data.images import read_image
from dml.plain_text import plain_text

RIGHT, WRONG, QUERY = "#2a8a3e", "#c93a3a", "#444444"
_NAME_LENGTH = 22  # characters of a class name that fit above an image


@plain_text()
def plot_gallery(
    query_paths: Sequence[str],
    query_labels: Sequence[int],
    gallery_paths: Sequence[str],
    gallery_labels: Sequence[int],
    class_names: Sequence[str],
    indices: np.ndarray,
    similarities: np.ndarray,
    out_png: Path | str,
    *,
    num_queries: int = 8,
    num_neighbours: int = 8,
    value_name: str = "similarity",
    seed: int = 0,
) -> None:
    """A row for each of a few queries: the query, then its nearest neighbours, right and wrong marked.

    Half of the queries, as far as there are such, have a wrong nearest neighbour: the picture is to show the
    failures too, and its title says that it does.

    Args:
        query_paths, query_labels: Q images and their classes.
        gallery_paths, gallery_labels: N images and their classes, in the same numbering.
        class_names: names of the classes.
        indices: (Q, k) gallery indices of each query's neighbours, nearest first, without the query itself.
        similarities: (Q, k) what stands under each neighbour.
        num_queries, num_neighbours: rows, and neighbours in a row (at most k).
        value_name: what ``similarities`` are.
        seed: of the choice of queries.

    Raises:
        ValueError: shapes that do not fit.
        OSError: an image that cannot be read.
    """
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    indices, similarities = np.asarray(indices), np.asarray(similarities)
    if not len(query_paths) == len(query_labels) == len(indices) or indices.shape != similarities.shape:
        raise ValueError(
            f"{len(query_paths)} query paths, {len(query_labels)} labels, neighbours {indices.shape} and "
            f"similarities {similarities.shape} do not fit together"
        )
    right = gallery_labels[indices[:, 0]] == query_labels
    rows = _choose_queries(right, num_queries, seed)
    columns = min(num_neighbours, indices.shape[1])
    figure = Figure(figsize=(1.25 * (columns + 1), 1.55 * len(rows) + 0.75), layout="constrained")
    figure.suptitle(_gallery_title(right, rows), fontsize=10)
    grid = figure.subplots(len(rows), columns + 1, squeeze=False)
    for axes, row in zip(grid, rows, strict=True):
        show_image(axes[0], query_paths[row], QUERY, class_names[query_labels[row]], "query")
        for place, item in enumerate(indices[row, :columns]):
            label = gallery_labels[item]
            color = RIGHT if label == query_labels[row] else WRONG
            show_image(
                axes[place + 1], gallery_paths[item], color, class_names[label], f"{similarities[row, place]:.2f}"
            )
    figure.supxlabel(
        f"nearest first; below: {value_name}; green: the query's class, red: another", fontsize=8, color=QUERY
    )
    figure.savefig(out_png, dpi=130)


def _choose_queries(right: np.ndarray, num_queries: int, seed: int) -> np.ndarray:
    """Half of the queries wrong at rank 1, half right, as far as there are so many; right ones first."""
    generator = np.random.default_rng(seed)
    groups = [generator.permutation(np.flatnonzero(mask)) for mask in (right, ~right)]
    num_wrong = min(len(groups[1]), max(num_queries // 2, num_queries - len(groups[0])))
    return np.concatenate([groups[0][: num_queries - num_wrong], groups[1][:num_wrong]])


def _gallery_title(right: np.ndarray, rows: np.ndarray) -> str:
    shown = int((~right[rows]).sum())
    return (
        f"{len(rows)} queries, of which {shown} were chosen because their nearest neighbour is wrong\n"
        f"(of all {len(right):,} queries {100 * (1 - right.mean()):.1f} % are)"
    )


def show_image(axes: Axes, path: str, color: str, name: str, value: str) -> None:
    """An image in a frame of ``color``, ``name`` above and ``value`` below it. OSError if it cannot be read."""
    axes.imshow(read_image(path, upright=True), aspect="equal")
    short = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    axes.set_title(short, fontsize=6, color=color, pad=4)
    axes.set_xlabel(value, fontsize=6.5, color=color, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(color)
        spine.set_linewidth(2.5)
