"""What ``evaluate.py`` leaves behind: metrics, embeddings, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dml.config import EvaluateConfig
from dml.data import RetrievalData
from dml.evaluation.collection import Collection
from dml.evaluation.evaluator import Evaluation
from dml.evaluation.pictures import draw_gallery, draw_tsne
from dml.evaluation.uncertainty import UncertaintyReport
from dml.tracking import say
from dml.writing import naming


def write_files(
    config: EvaluateConfig, data: RetrievalData, evaluation: Evaluation, unsure: UncertaintyReport | None
) -> None:
    """The files that were asked for, each with a line that names it; ``unsure`` is that of ``--uncertainty``."""
    if config.json:
        values = evaluation.metrics | evaluation.answers.counts | ({} if unsure is None else unsure.correlations)
        metrics = {f"eval/{name}": value for name, value in values.items()}
        with naming(config.json):
            Path(config.json).write_text(json.dumps(metrics, indent=1) + "\n")
        say(f"metrics: {config.json}")
    if config.save_embeddings:
        path = Path(config.save_embeddings)
        with naming(path), path.open("wb") as file:  # by name, savez would add a suffix of its own
            np.savez(file, **_arrays(data, evaluation, unsure))
        say(f"embeddings: {config.save_embeddings}")
    if config.gallery:
        draw_gallery(Path(config.gallery), evaluation, data, distance=config.eval_distance, seed=config.seed)
        say(f"gallery: {config.gallery}")
    if config.tsne:
        draw_tsne(Path(config.tsne), evaluation, data, seed=config.seed)
        say(f"t-SNE page: {config.tsne}")
    if unsure is not None:
        path = Path(config.uncertainty_gallery or Path(config.ckpt).with_name("uncertainty.png"))
        unsure.draw(data.query, path)
        say(f"most and least certain images: {path}")


def write_collection(config: EvaluateConfig, collection: Collection) -> None:
    """The same of images without classes; first, whether the network has collapsed."""
    if collection.collapse:
        say(collection.collapse)
    for name, file, write in (
        ("embeddings", config.save_embeddings, collection.save),
        ("gallery", config.gallery, collection.draw_gallery),
        ("t-SNE page", config.tsne, collection.draw_page),
    ):
        if file:
            write(Path(file))
            say(f"{name}: {file}")


def _arrays(data: RetrievalData, evaluation: Evaluation, unsure: UncertaintyReport | None) -> dict[str, np.ndarray]:
    """What ``--save-embeddings`` keeps: embeddings (N, D), labels (N,), paths (N,); with a gallery its three too;
    with ``--uncertainty`` uncertainties (N,).
    """
    named = {
        "embeddings": evaluation.query_embeddings.numpy(),
        "labels": evaluation.query_labels.numpy(),
        "paths": np.array(data.query.paths),
    }
    if data.gallery is not None:
        named |= {
            "gallery_embeddings": evaluation.gallery_embeddings.numpy(),
            "gallery_labels": evaluation.gallery_labels.numpy(),
            "gallery_paths": np.array(data.gallery.paths),
        }
    if unsure is not None:
        named["uncertainties"] = unsure.uncertainty.numpy()
    return named
