"""How often a classifier is right, of which classes, and which it takes for which."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dml.metric_names import CLASSIFICATION_METRICS, with_functions
from dml.models.classifiers import ClassifierOutput

TOP_KS = with_functions(CLASSIFICATION_METRICS, {"top_1": 1, "top_5": 5})
"""Metric → k: the share of images whose class is among the first k predicted."""

NAMED = 5  # classes, and pairs of classes, that a line names


def top_classes(output: ClassifierOutput) -> Tensor:
    """(B, min(5, C)) int64: the classes of the highest plain logits, highest first."""
    return output.logits.topk(min(max(TOP_KS.values()), output.logits.shape[1]), dim=1).indices


def top_probabilities(k: int) -> Callable[[ClassifierOutput], Tensor]:
    """What reads (B, 2, min(k, C)) float32 out of a network's output: the highest soft-max probabilities of the plain
    logits, highest first, and the classes that they are of."""

    def read(output: ClassifierOutput) -> Tensor:
        values, classes = output.logits.softmax(1).topk(min(k, output.logits.shape[1]), dim=1)
        return torch.stack([values, classes.float()], 1)  # exact to 2²⁴ classes

    return read


def top_k_accuracy(predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """Share of the images whose class is among the first k predictions, 0..1, for k of 1 and 5.

    Args:
        predicted: (N, K) classes, best first; a k beyond K counts all of them.
        labels: (N,).
    """
    hits = predicted == labels[:, None]
    return {name: int(hits[:, :k].any(1).sum()) / len(hits) for name, k in TOP_KS.items()}


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """(C, C) int64: row c counts what the images of class c were taken for. O(N + C²)."""
    pairs = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def top_confusions(matrix: np.ndarray, count: int) -> np.ndarray:
    """(P, 2), P ≤ ``count``: pairs (class, what it was taken for) of most images, then of the largest share of the
    class; ties by the lower numbers. Pairs of no image are none."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    shares = wrong / np.maximum(matrix.sum(1, keepdims=True), 1)
    order = np.lexsort((-shares.ravel(), -wrong.ravel()))[:count]
    pairs = np.stack(np.unravel_index(order, wrong.shape), 1)
    return pairs[wrong[pairs[:, 0], pairs[:, 1]] > 0]


@dataclass(frozen=True, eq=False)
class ClassReport:
    """How often a classifier is right, class by class.

    Attributes:
        names: of the C classes.
        matrix: (C, C), see ``confusion_matrix``.
    """

    names: tuple[str, ...]
    matrix: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> ClassReport:
        """Of (N,) true and (N,) predicted classes."""
        return cls(tuple(names), confusion_matrix(labels, predicted, len(names)))

    def to_csv(self) -> str:
        """A row for each class: its test images, how many and which share of them are right, the class that the others
        are taken for most often, and how often."""
        right = self.matrix.diagonal()
        images = self.matrix.sum(1)
        wrong = self.matrix - np.diag(right)
        other = wrong.argmax(1)
        rows = csv.writer(text := io.StringIO(), lineterminator="\n")
        rows.writerow(("class", "images", "right", "top_1", "most_taken_for", "times"))
        for c, name in enumerate(self.names):
            share = f"{right[c] / images[c]:.4f}" if images[c] else ""
            times = int(wrong[c, other[c]])
            rows.writerow((name, images[c], right[c], share, self.names[other[c]] if times else "", times))
        return text.getvalue()

    def summary(self) -> list[str]:
        """Two lines: the classes that are right least often, the pairs that are confused most often; fewer where there
        are none."""
        images, right = self.matrix.sum(1), self.matrix.diagonal()
        there = np.flatnonzero(images)
        order = there[np.argsort(right[there] / images[there], kind="stable")]
        worst = [f"{self.names[c]} {right[c]} of {images[c]}" for c in order[:NAMED] if right[c] < images[c]]
        pairs = [
            f"{self.names[c]} taken for {self.names[d]} ({self.matrix[c, d]} of {images[c]})"
            for c, d in top_confusions(self.matrix, NAMED)
        ]
        lines = {"right least often": worst, "confused most often": pairs}
        return [f"{title}: {', '.join(items)}" for title, items in lines.items() if items]
