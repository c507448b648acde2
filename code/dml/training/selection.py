"""Which epochs of a run are kept, and what it says of them: best_results.txt and the closing table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dml.config import EvalConfig
from dml.errors import UserError
from dml.evaluation.answers import Answers
from dml.evaluation.baselines import UNTRAINED
from dml.metric_names import is_better, is_share, metric_of
from dml.tracking import BASELINES_FILE, table
from dml.training.checkpoint import TrainingState
from dml.writing import write_text_atomically


@dataclass(frozen=True)
class Selection:
    """How the best epoch is chosen, and those that are kept beside it.

    Args:
        split: the prefix whose metrics choose: "eval" (the test split) or "val".
        metric: its best value makes the best epoch: the highest, of some metrics the lowest (``dml.metric_names``).
        others: each one's best value makes an epoch that is kept too.
        held_out: what the split "val" consists of, in words.
    """

    split: str
    metric: str
    others: tuple[str, ...] = ()
    held_out: str = "held-out classes"

    @property
    def by(self) -> str:
        """The metric that chooses, in words."""
        return f"{self.metric} (lowest)" if metric_of(self.metric).lower_is_better else self.metric

    @property
    def on_test_split(self) -> bool:
        """Whether the figures that are reported also choose, as in the published code."""
        return self.split == "eval"

    def looks_at_test(self, evaluation: EvalConfig, epoch: int, *, last: bool) -> bool:
        """Whether the evaluation after ``epoch`` epochs, 0 before the first, is of the test split, too."""
        every = evaluation.eval_test_every
        if every is None:
            return self.on_test_split
        return every > 0 and (last or epoch % every == 0)

    def looks_at_the_end(self, evaluation: EvalConfig) -> bool:
        """Whether the test split is looked at once, when everything is trained, through the best epoch's network."""
        return evaluation.eval_test_every is None and not self.on_test_split

    def is_best(self, state: TrainingState) -> bool:
        """Whether ``state.latest`` beats ``state.best``; where nothing is evaluated the newest counts as the best."""
        if not state.best:
            return True
        latest, best = (values[self.split][self.metric] for values in (state.latest, state.best))
        return is_better(self.metric, latest, than=best)

    def other_bests(self, state: TrainingState) -> list[str]:
        """The files that ``state.latest`` renews: best_<metric>.pt; ``state.highest`` is brought up to date."""
        files = []
        values = state.latest.get(self.split, {})  # empty: images without classes
        for metric in self.others:
            if metric in values and is_better(metric, values[metric], than=state.highest.get(metric)):
                state.highest[metric] = values[metric]
                files.append(f"best_{metric}.pt")
        return files


def require_computed(evaluation: EvalConfig, names: Sequence[str]) -> None:
    """UserError unless what is to choose the best epoch is among ``names``, the metrics that are computed."""
    flag = "--storage-metrics" if evaluation.storage_metrics else "--select-metric"
    for metric in evaluation.storage_metrics or (evaluation.select_metric,):
        if metric not in names:
            raise UserError(
                f"{flag} {metric} is to choose the best epoch, but is not among the metrics of this run:"
                f" {', '.join(names)}. Add it to --metrics, or choose by one of these"
            )


def require_looks(evaluation: EvalConfig, selection: Selection) -> None:
    """UserError if the test split is to choose the best epoch and is not looked at whenever there is an evaluation."""
    every = evaluation.eval_test_every
    if selection.on_test_split and every not in (None, 1):
        raise UserError(
            f"--eval-test-every {every}: the test split chooses the best epoch of this run; hold out classes by"
            " --val-split or --fold, or leave it out"
        )


def result_rows(state: TrainingState, split: str = "eval") -> dict[str, dict[str, float]]:
    """Title → metrics of ``split``: baselines of the test split if there are any, the untrained network if it was
    evaluated, the best and the last epoch."""
    rows = (state.baselines if split == "eval" else {}) | {
        UNTRAINED: state.untrained.get(split),
        f"best (epoch {state.best_epoch})": state.best.get(split),
        f"last (epoch {state.latest_epoch})": state.latest.get(split),
    }
    return {title: metrics for title, metrics in rows.items() if metrics}


def results_table(state: TrainingState, answers: Mapping[str, Answers], split: str = "eval") -> str:
    """The rows of ``split``, and below them over how many queries the figures are and what the queries leave out, where
    there are queries."""
    rows = result_rows(state, split)
    if not rows:
        return ""
    said = [table(rows)]
    if split in answers:
        said += [answers[split].sentence(next(iter(rows.values()))), answers[split].of_copies, answers[split].of_series]
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
    """``best_results.txt`` in the run folder, rewritten after every evaluation, and ``baselines.json`` if what needs no
    training was looked at."""
    write_text_atomically(results_text(state, selection, answers), folder / "best_results.txt")
    if state.baselines:
        write_text_atomically(json.dumps(state.baselines, indent=1) + "\n", folder / BASELINES_FILE)
