"""Where a run stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

Metrics = dict[str, float]


@dataclass
class TrainingState:
    """Where a run stands; part of its checkpoint.

    Attributes:
        epoch: complete epochs.
        step: optimiser steps taken.
        plan: (num_batches, B) the batches of the epoch under way; None between epochs.
        batches_done: of that plan.
        totals: name → sum over those of the loss and of what else the method logs.
        best_epoch: the epoch that the selection metric likes best; None before any evaluation of a trained network.
        best: its metrics, prefix → name → value.
        latest: those of the last evaluation.
        latest_epoch: the epoch that it was made after.
        untrained: those of ``--eval-first``.
        highest: metric → its best value, for the metrics besides the selecting one whose best epochs are kept.
    """

    epoch: int = 0
    step: int = 0
    plan: np.ndarray | None = None
    batches_done: int = 0
    totals: Metrics = field(default_factory=dict)
    best_epoch: int | None = None
    best: dict[str, Metrics] = field(default_factory=dict)
    latest: dict[str, Metrics] = field(default_factory=dict)
    latest_epoch: int = 0
    untrained: dict[str, Metrics] = field(default_factory=dict)
    highest: Metrics = field(default_factory=dict)
