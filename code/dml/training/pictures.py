"""The pictures of a run, from its record and its last evaluation."""

from __future__ import annotations

from pathlib import Path

import torch

from dml.data import RetrievalData
from dml.data.unlabelled import FEWEST_TO_MAP
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.plots import plot_curves, plot_gallery, tsne_page
from dml.neighbours import nearest_neighbours
from dml.tracking import METRICS_FILE

GALLERY_NEIGHBOURS = 8


def draw_run(
    folder: Path, evaluation: Evaluation | None, data: RetrievalData, *, distance: str, seed: int
) -> dict[str, Path]:
    """``curves.png`` and, with an evaluation at hand, ``gallery.png`` and ``tsne.html`` in the run folder.

    Fewer than five test images are not mapped.

    Returns:
        name → path of each picture.
    """
    pictures = {"curves": folder / "curves.png"}
    plot_curves(folder / METRICS_FILE, pictures["curves"])
    if evaluation is not None:
        pictures["gallery"] = folder / "gallery.png"
        draw_gallery(pictures["gallery"], evaluation, data, distance=distance, seed=seed)
        if len(data.query) >= FEWEST_TO_MAP:
            pictures["t-SNE page"] = folder / "tsne.html"
            draw_tsne(pictures["t-SNE page"], evaluation, data, seed=seed)
    return pictures


def draw_gallery(path: Path, evaluation: Evaluation, data: RetrievalData, *, distance: str, seed: int) -> None:
    """Test queries, some answered rightly and some wrongly, with their nearest neighbours."""
    itself = data.gallery is None
    query = evaluation.query_embeddings
    gallery = query if itself else evaluation.gallery_embeddings
    indices, values = nearest_neighbours(
        query,
        gallery,
        min(GALLERY_NEIGHBOURS, len(gallery) - itself),
        distance=distance,
        exclude=torch.arange(len(query)) if itself else None,
    )
    searched = data.query if itself else data.gallery
    plot_gallery(
        data.query.paths,
        data.query.labels,
        searched.paths,
        searched.labels,
        data.query.class_names,
        indices.numpy(),
        values.numpy(),
        path,
        num_neighbours=GALLERY_NEIGHBOURS,
        value_name="similarity" if distance == "cosine" else "distance",
        seed=seed,
    )


def draw_tsne(path: Path, evaluation: Evaluation, data: RetrievalData, *, seed: int) -> None:
    """A page of the test queries' embeddings, a colour for each class."""
    tsne_page(
        evaluation.query_embeddings,
        evaluation.query_labels,
        data.query.class_names,
        path,
        image_paths=data.query.paths,
        title=f"t-SNE of the test embeddings of {data.name}",
        seed=seed,
    )
