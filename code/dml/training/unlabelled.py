"""Training on images without classes: nothing judges it; it leaves embeddings to search in and pictures to look at."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path

from torch import nn

from dml.config import EvalConfig
from dml.data.images import ImageDataset
from dml.data.unlabelled import UnlabelledData
from dml.errors import UserError
from dml.evaluation.baselines import UNTRAINED
from dml.evaluation.collection import Collection
from dml.evaluation.embedding import embed_records
from dml.evaluation.plots import plot_curves
from dml.evaluation.two_views import MOST, agreement
from dml.metric_names import VIEW_RECALL, percent
from dml.tracking import METRICS_FILE, say, table
from dml.training.advice import BaselineWarning, what_helps
from dml.training.checkpoint import TrainingState
from dml.training.retrieval import training_crops
from dml.training.task import Task

EMBEDDINGS_FILE = "embeddings.npz"


class UnlabelledTask(Task):
    """All images are trained on and, at the end, embedded as evaluation has it.

    The run folder then holds ``embeddings.npz`` (embeddings (N, D) float32, paths (N,)), a gallery of random
    images with their nearest neighbours, and a t-SNE page of at most 2,000 random images.
    """

    data: UnlabelledData
    splits = ()
    class_names: tuple[str, ...] | None = None

    compares_views = True
    collection: Collection | None = None
    view_recall: float | None = None

    def _check_selection(self) -> None:
        """Nothing chooses an epoch. UserError for flags that need classes."""
        if self.config.data.val_split is not None or self.config.data.fold is not None:
            raise UserError(f"{self.how_to_hold_out}: there are no classes to hold out")
        if self.config.run.visualize:
            raise UserError("--visualize shows test classes, and there are none; tsne.html is drawn at the end")
        for setting in reversed(dataclasses.fields(EvalConfig)):  # --storage-metrics replaces --select-metric
            if setting.name == "eval_test_every" and self.config.evaluation.eval_test_every == 1:
                continue  # of a run that is older than the setting
            if setting.name != "eval_distance" and getattr(self.config.evaluation, setting.name) != setting.default:
                raise UserError(f"--{setting.name.replace('_', '-')}: there are no classes to judge by; leave it out")

    def metric_names(self) -> list[str]:
        """None."""
        return []

    def describe(self) -> tuple[str, str]:
        """The number of images; backbone and embedding size."""
        model = self.config.model
        return (
            f"{self.data.name}: {len(self.data.train)} images without classes: trained on, and searched at the end",
            f"{model.model}, {model.embedding_size}-d",
        )

    def training_set(self) -> ImageDataset:
        """As of a labelled data set."""
        return training_crops(self.config, self.data.train, self.method)

    @property
    def baselines(self) -> Callable[[nn.Module], dict[str, dict[str, float]]] | None:
        """How well the untrained network finds an image's other view."""
        return self._judge_untrained if self.compares_views else None

    def _judge_untrained(self, model: nn.Module) -> dict[str, dict[str, float]]:
        return {UNTRAINED: {VIEW_RECALL: self._agreement(model)}}

    def _agreement(self, model: nn.Module) -> float:
        config = self.config
        how = {"distance": config.evaluation.eval_distance, "seed": config.run.seed}
        return agreement(model, self.training_set(), config.embedding, self.fabric, **how)

    def evaluate(self, prefix: str, model: nn.Module) -> dict[str, float]:
        """Embed all images for what is left behind, and see how well their views find each other."""
        embeddings = embed_records(model, self.data.train, self.config.embedding, self.fabric, progress="images")
        how = {"distance": self.config.evaluation.eval_distance, "seed": self.config.run.seed}
        self.collection = Collection(self.data.train, embeddings, **how)
        if self.fabric.is_global_zero and self.collection.collapse:
            say(self.collection.collapse)
        if not self.compares_views:
            return {}
        self.view_recall = self._agreement(model)
        return {VIEW_RECALL: self.view_recall}

    def closing(self, state: TrainingState) -> list[str]:
        """The untrained network beside the trained one; nothing of a run that began before that was measured.

        Warns:
            BaselineWarning: training made it no better.
        """
        before = state.baselines.get(UNTRAINED, {}).get(VIEW_RECALL)
        if before is None or self.view_recall is None:
            return []
        if self.view_recall <= before:
            warnings.warn(
                f"views of an image find each other no better than before training ({percent(self.view_recall)} %,"
                f" untrained {percent(before)} %): {what_helps(self.config)}",
                BaselineWarning,
            )
        number = min(MOST, len(self.data.train))
        rows = {UNTRAINED: {VIEW_RECALL: before}, f"trained (epoch {state.epoch})": {VIEW_RECALL: self.view_recall}}
        return [
            table(rows),
            f"R@1 of finding an image's other crop among those of {number:,} images: no label is needed",
        ]

    @property
    def is_evaluated(self) -> bool:
        """Whether the embeddings are at hand."""
        return self.collection is not None

    def write(self, folder: Path) -> dict[str, Path]:
        """``embeddings.npz``."""
        path = folder / EMBEDDINGS_FILE
        self.collection.save(path)
        return {"embeddings": path}

    def draw(self, folder: Path) -> dict[str, Path]:
        """Curves, gallery, t-SNE page."""
        pictures = {"curves": "curves.png", "gallery": "gallery.png", "t-SNE page": "tsne.html"}
        pictures = {name: folder / file for name, file in pictures.items()}
        plot_curves(folder / METRICS_FILE, pictures["curves"])
        self.collection.draw_gallery(pictures["gallery"])
        self.collection.draw_page(pictures["t-SNE page"])
        return pictures
