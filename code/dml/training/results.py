"""What a run says of itself: best_results.txt and the closing table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dml.evaluation.answers import Answers
from dml.metric_names import is_share
from dml.tracking import table
from dml.training.atomic import write_text_atomically
from dml.training.selection import Selection
from dml.training.state import TrainingState


def result_rows(state: TrainingState, split: str = "eval") -> dict[str, dict[str, float]]:
    """Title → metrics of ``split``: the untrained network if it was evaluated, the best and the last epoch."""
    rows = {
        "untrained": state.untrained.get(split),
        f"best (epoch {state.best_epoch})": state.best.get(split),
        f"last (epoch {state.latest_epoch})": state.latest.get(split),
    }
    return {title: metrics for title, metrics in rows.items() if metrics}


def results_table(state: TrainingState, answers: Mapping[str, Answers], split: str = "eval") -> str:
    """The rows of ``split``, and below them over how many queries the figures are and what the queries leave out, where
    there are queries."""
    rows = result_rows(state, split)
    said = [table(rows)]
    if split in answers:
        said += [answers[split].sentence(next(iter(rows.values()))), answers[split].of_copies]
    return "\n".join(filter(None, said))


def results_text(state: TrainingState, selection: Selection, answers: Mapping[str, Answers]) -> str:
    """The best and the last epoch of every split, and how the best was chosen."""
    held_out = selection.held_out
    chosen = f"Best epoch by {selection.by} on {'the test split' if selection.on_test_split else held_out}."
    if selection.on_test_split:
        chosen += (
            " Choosing on the test split is what the published code does, and optimistic;"
            f" the last epoch stands beside it, and --val-split chooses on {held_out} instead."
        )
    parts = [chosen]
    for split, title in {"eval": "test", "val": held_out}.items():
        rows = result_rows(state, split)
        if rows:
            own_units = "" if all(map(is_share, next(iter(rows.values())))) else " (dists and rho_spectrum as they are)"
            parts.append(f"{title}, in per cent{own_units}:\n{results_table(state, answers, split)}")
    return "\n\n".join(parts) + "\n"


def write_results(folder: Path, state: TrainingState, selection: Selection, answers: Mapping[str, Answers]) -> None:
    """``best_results.txt`` in the run folder, rewritten after every evaluation."""
    write_text_atomically(results_text(state, selection, answers), folder / "best_results.txt")
