"""Which epochs of a run are kept."""

from __future__ import annotations

from dataclasses import dataclass

from dml.training.state import TrainingState


@dataclass(frozen=True)
class Selection:
    """How the best epoch is chosen, and those that are kept beside it.

    Args:
        split: the prefix whose metrics choose: "eval" (the test split) or "val".
        metric: its highest value makes the best epoch.
        others: each one's highest value makes an epoch that is kept too.
        held_out: what the split "val" consists of, in words.
    """

    split: str
    metric: str
    others: tuple[str, ...] = ()
    held_out: str = "held-out classes"

    @property
    def on_test_split(self) -> bool:
        """Whether the figures that are reported also choose, as in the published code."""
        return self.split == "eval"

    def is_best(self, state: TrainingState) -> bool:
        """Whether ``state.latest`` beats ``state.best``; where nothing is evaluated the newest counts as the best."""
        return not state.best or state.latest[self.split][self.metric] > state.best[self.split][self.metric]

    def other_bests(self, state: TrainingState) -> list[str]:
        """The files that ``state.latest`` renews: best_<metric>.pt; ``state.highest`` is brought up to date."""
        files = []
        values = state.latest.get(self.split, {})  # empty: images without classes
        for metric in self.others:
            if metric in values and values[metric] > state.highest.get(metric, float("-inf")):
                state.highest[metric] = values[metric]
                files.append(f"best_{metric}.pt")
        return files
