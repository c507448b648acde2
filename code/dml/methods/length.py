"""How long a training is and how large its batches are, where the number of its images decides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Container
from dataclasses import replace

import numpy as np

from dml.config import TrainConfig
from dml.errors import Note
from dml.recipes import RECIPES, starts_from_weights

STEPS_PER_EPOCH = 4  # at least, of a small set
FEWEST_IN_BATCH = 16
MOST_EVALUATIONS = 20


def fit_to_size(config: TrainConfig, labels: np.ndarray, *, is_new: bool, typed: Container[str] = ()) -> TrainConfig:
    """``config`` with the epochs and batches that suit a training set, where its recipe leaves them to that.

    Batches are a quarter of a small set, so that an epoch has a few steps; where classes are few they hold more images
    of each, and where each has one image they are random. Of many short epochs some are evaluated.

    Args:
        labels: (N,) int64 of the training set.
        is_new: whether the run begins here; one that goes on keeps its own.
        typed: names of the settings that flags say, which win.

    Warns:
        Note: how many epochs there are.
    """
    lengths = RECIPES[config.recipe].lengths
    if lengths is None or not is_new:
        return config
    data, evaluation, images = config.data, config.evaluation, len(labels)
    if "batch_size" not in typed:
        data = replace(data, batch_size=min(data.batch_size, max(FEWEST_IN_BATCH, images // STEPS_PER_EPOCH)))
    _, counts = np.unique(labels, return_counts=True)
    if data.IPC and counts.max() < 2 and not {"IPC", "sampler"} & set(typed):
        data = replace(data, IPC=None, sampler="random")  # several images of a class would be one image, several times
    if data.IPC and data.sampler == "balanced" and not {"batch_size", "IPC"} & set(typed):
        each = min(data.batch_size // len(counts), int(np.median(counts)))
        if each > data.IPC:
            data = replace(data, IPC=each, batch_size=each * len(counts))
    if "epochs" not in typed:
        epochs = lengths[0 if has_weights(config) else 1].epochs(images)
        warnings.warn(f"{epochs} epochs for {images:,} training images; --epochs says otherwise", Note)
        config = replace(config, optim=replace(config.optim, epochs=epochs))
        if "eval_every" not in typed and not (config.self_taught and config.self_taught.unlabelled):
            evaluation = replace(evaluation, eval_every=math.ceil(epochs / MOST_EVALUATIONS))
    return replace(config, data=data, evaluation=evaluation)


def has_weights(config: TrainConfig) -> bool:
    """Whether the network of a run begins with weights from somewhere, and not with random ones."""
    return starts_from_weights(vars(config.model) | (vars(config.self_taught) if config.self_taught else {}))
