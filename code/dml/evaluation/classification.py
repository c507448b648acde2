"""How often a classifier is right."""

from __future__ import annotations

from torch import Tensor

from dml.models.classifiers import ClassifierOutput

TOP_KS = (1, 5)
CLASSIFICATION_METRICS = tuple(f"top_{k}" for k in TOP_KS)


def top_classes(output: ClassifierOutput) -> Tensor:
    """(B, min(5, C)) int64: the classes of the highest plain logits, highest first."""
    return output.logits.topk(min(max(TOP_KS), output.logits.shape[1]), dim=1).indices


def top_k_accuracy(predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """Share of the images whose class is among the first k predictions, 0..1, for k of 1 and 5.

    Args:
        predicted: (N, K) classes, best first; a k beyond K counts all of them.
        labels: (N,).
    """
    hits = predicted == labels[:, None]
    return {f"top_{k}": float(hits[:, :k].any(1).double().mean()) for k in TOP_KS}
