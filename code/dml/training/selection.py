"""Which epochs of a run are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dml.config import EvalConfig
from dml.errors import UserError
from dml.metric_names import is_better, metric_of
from dml.training.state import TrainingState


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
