"""Where a run stands and what it says of itself: best_results.txt and the closing table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dml.metric_names import is_share
from dml.tracking import table
from dml.training.atomic import write_text_atomically

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
        highest: metric → its highest value, for the metrics besides the selecting one whose best epochs are kept.
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


def result_rows(state: TrainingState, split: str = "eval") -> dict[str, dict[str, float]]:
    """Title → metrics of ``split``: the untrained network if it was evaluated, the best and the last epoch."""
    rows = {
        "untrained": state.untrained.get(split),
        f"best (epoch {state.best_epoch})": state.best.get(split),
        f"last (epoch {state.latest_epoch})": state.latest.get(split),
    }
    return {title: metrics for title, metrics in rows.items() if metrics}


def results_text(state: TrainingState, *, select: str, metric: str, held_out: str) -> str:
    """The best and the last epoch of every split, and how the best was chosen."""
    chosen = f"Best epoch by {metric} on {'the test split' if select == 'eval' else held_out}."
    if select == "eval":
        chosen += (
            " Choosing on the test split is what the published code does, and optimistic;"
            f" the last epoch stands beside it, and --val-split chooses on {held_out} instead."
        )
    parts = [chosen]
    for split, title in {"eval": "test", "val": held_out}.items():
        rows = result_rows(state, split)
        if rows:
            own_units = "" if all(map(is_share, next(iter(rows.values())))) else " (dists and rho_spectrum as they are)"
            parts.append(f"{title}, in per cent{own_units}:\n{table(rows)}")
    return "\n\n".join(parts) + "\n"


def write_results(folder: Path, state: TrainingState, *, select: str, metric: str, held_out: str) -> None:
    """``best_results.txt`` in the run folder, rewritten after every evaluation."""
    write_text_atomically(
        results_text(state, select=select, metric=metric, held_out=held_out), folder / "best_results.txt"
    )
