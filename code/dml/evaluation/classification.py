"""How often a classifier is right."""

from __future__ import annotations

from torch import Tensor

from dml.metric_names import CLASSIFICATION_METRICS, with_functions
from dml.models.classifiers import ClassifierOutput

TOP_KS = with_functions(CLASSIFICATION_METRICS, {"top_1": 1, "top_5": 5})
"""Metric → k: the share of images whose class is among the first k predicted."""


def top_classes(output: ClassifierOutput) -> Tensor:
    """(B, min(5, C)) int64: the classes of the highest plain logits, highest first."""
    return output.logits.topk(min(max(TOP_KS.values()), output.logits.shape[1]), dim=1).indices


def top_k_accuracy(predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """Share of the images whose class is among the first k predictions, 0..1, for k of 1 and 5.

    Args:
        predicted: (N, K) classes, best first; a k beyond K counts all of them.
        labels: (N,).
    """
    hits = predicted == labels[:, None]
    return {name: int(hits[:, :k].any(1).sum()) / len(hits) for name, k in TOP_KS.items()}
