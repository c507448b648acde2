"""What retrieval comes to without any training: figures that a trained network has to beat to be worth its name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from dml.data import RetrievalData
from dml.devices import exact_device
from dml.evaluation.evaluator import Evaluation, Evaluator, evaluate_embeddings
from dml.evaluation.glances import Glances
from dml.evaluation.series import with_distinct_recall
from dml.metric_names import LEADING, label, percent
from dml.positives import ImageIds

PIXELS, COLOURS = "small pixels", "colour histogram"
FEATURES = "pretrained features"
UNTRAINED = "untrained"
"""The title of the network before its first step."""

Metrics = dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Judges rows for the images of a test split as an evaluator judges a network's, by cosine.

    Attributes:
        data: whose ``searched`` images the rows are of.
        evaluator: of that split.
        series: see ``dml.evaluation.series``; None: a named data set, whose tables have no distinct R@1.
        device: where to compute.
    """

    data: RetrievalData
    evaluator: Evaluator
    series: ImageIds | None
    device: torch.device

    def of_images(self, glances: Sequence[Glances]) -> dict[str, Metrics]:
        """Title → metrics of small pixels and of colour histograms.

        Args:
            glances: of the queries and, where there is one, of the gallery.
        """
        pixels = [torch.from_numpy(seen.pixels.astype(np.float32)) for seen in glances]
        mean = pixels[-1].mean(0)  # else any two photographs would be alike by their brightness
        return {
            PIXELS: self.of_rows([rows - mean for rows in pixels]),
            COLOURS: self.of_rows([torch.from_numpy(seen.colours) for seen in glances]),
        }

    def of_rows(self, rows: Sequence[Tensor]) -> Metrics:
        """The evaluator's metrics of (Q, D) rows of the queries and, where there is one, (N, D) of the gallery."""
        labels = [torch.from_numpy(self.data.parts[split].labels) for split in self.data.searched]
        given = [tensor for pair in zip(map(normalize, rows), labels, strict=True) for tensor in pair]
        judged, by_cosine = self.evaluator, {"distance": "cosine"}
        metrics = evaluate_embeddings(
            *given,
            recall_ks=judged.recall_ks,
            metrics=judged.metrics,
            image_ids=judged.image_ids,
            ties_count_for_query=judged.ties_count_for_query,
            seed=judged.seed,
            device=exact_device(self.device),
            **by_cosine,
        )
        if self.series is None:
            return metrics
        return with_distinct_recall(Evaluation(metrics, *given), self.series, **by_cosine).metrics


def to_beat(baselines: dict[str, Metrics]) -> str:
    """One line: ``to beat: small pixels R@1 30.62, MAP@R 9.51; …``."""
    parts = []
    for title, metrics in baselines.items():
        names = [name for name in LEADING[:2] if name in metrics] or list(metrics)[:1]
        parts.append(f"{title} {', '.join(f'{label(name)} {percent(metrics[name])}' for name in names)}")
    return f"to beat, without training: {'; '.join(parts)}"
