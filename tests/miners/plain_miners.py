"""The distance miner as published, anchor by anchor: oracle and yardstick."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def negative_probabilities(distances: Tensor, labels: Tensor, anchor: int, size: int, cutoff: float) -> Tensor:
    """(B,) of one anchor."""
    d = distances[anchor].clamp(min=cutoff)
    log_weights = (2.0 - size) * torch.log(d) - (size - 3) / 2 * torch.log(1.0 - 0.25 * d.pow(2))
    same = labels == labels[anchor]
    log_weights[same] = 0
    weights = torch.exp(log_weights - log_weights.max())
    weights[same] = 0
    return weights / weights.sum()


def distance_miner_loop(distances: Tensor, labels: Tensor, size: int, cutoff: float) -> list[tuple[int, int, int]]:
    """(anchor, positive, negative) of every sample, drawn with NumPy's global generator."""
    triplets = []
    classes = labels.cpu().numpy()
    for anchor in range(len(labels)):
        probabilities = negative_probabilities(distances, labels, anchor, size, cutoff).double().cpu().numpy()
        positives = classes == classes[anchor]
        if positives.sum() > 1:
            positives[anchor] = False
        positive = np.random.choice(np.where(positives)[0])  # noqa: NPY002 (as published)
        negative = np.random.choice(len(labels), p=probabilities / probabilities.sum())  # noqa: NPY002
        triplets.append((anchor, int(positive), int(negative)))
    return triplets
