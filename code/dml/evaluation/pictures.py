"""The pictures of a run, from its record and its last evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from dml.data import RetrievalData
from dml.data.unlabelled import FEWEST_TO_MAP
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.plots import plot_curves, plot_gallery, tsne_page
from dml.neighbours import nearest_neighbours
from dml.tracking import METRICS_FILE

GALLERY_NEIGHBOURS, GALLERY_QUERIES = 8, 2000


def draw_run(
    folder: Path,
    evaluation: Evaluation | None,
    data: RetrievalData,
    *,
    select_metric: str,
    select_split: str = "eval",
    distance: str,
    seed: int,
) -> dict[str, Path]:
    """``curves.png`` and, with an evaluation at hand, ``gallery.png`` and ``tsne.html`` in the run folder.

    Fewer than five test images are not mapped.

    Args:
        select_metric, select_split: key of the metric that chooses the best epoch, and where: the curves mark it.

    Returns:
        name → path of each picture.
    """
    pictures = {"curves": folder / "curves.png"}
    plot_curves(folder / METRICS_FILE, pictures["curves"], select_metric=select_metric, select_split=select_split)
    if evaluation is not None:
        pictures["gallery"] = folder / "gallery.png"
        draw_gallery(pictures["gallery"], evaluation, data, distance=distance, seed=seed)
        if len(data.query) >= FEWEST_TO_MAP:
            pictures["t-SNE page"] = folder / "tsne.html"
            draw_tsne(pictures["t-SNE page"], evaluation, data, seed=seed)
    return pictures


def draw_gallery(path: Path, evaluation: Evaluation, data: RetrievalData, *, distance: str, seed: int) -> None:
    """Test queries, some answered rightly and some wrongly, with their nearest neighbours.

    They are chosen from 2,000 random queries, for a search for all would take as long as the evaluation.
    """
    query, unseen = evaluation.query_embeddings, evaluation.left_out
    gallery = query if evaluation.gallery_embeddings is None else evaluation.gallery_embeddings
    records = data.query if data.gallery is None else data.gallery
    drawn_from, looked_at = None, data.query
    if len(query) > GALLERY_QUERIES:
        drawn_from = len(query)
        rows = np.sort(np.random.default_rng(seed).permutation(drawn_from)[:GALLERY_QUERIES])
        looked_at, rows = data.query.take(rows), torch.from_numpy(rows)
        query, unseen = query[rows], None if unseen is None else unseen.take(rows)
    number = min(GALLERY_NEIGHBOURS, len(gallery))
    indices, values = nearest_neighbours(query, gallery, number, distance=distance, exclude=unseen)
    plot_gallery(
        looked_at,
        records,
        indices.numpy(),
        values.numpy(),
        path,
        num_neighbours=GALLERY_NEIGHBOURS,
        value_name="similarity" if distance == "cosine" else "distance",
        seed=seed,
        drawn_from=drawn_from,
    )


def draw_tsne(path: Path, evaluation: Evaluation, data: RetrievalData, *, seed: int) -> None:
    """A page of the test queries' embeddings, a colour for each class."""
    tsne_page(
        evaluation.query_embeddings,
        data.query,
        path,
        title=f"t-SNE of the test embeddings of {data.name}",
        seed=seed,
    )
