"""The search for a method's settings: what Optuna proposes, when it prunes, and its journal.

Trials are chosen in generations: those of one are proposed together, from the results of the generations before, and
are judged against those. So what is tried depends neither on how many processes work, nor on which of them is faster,
nor on how often they were killed.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dml.compare.plan import Method, Protocol
from dml.compare.results import DIVERGED, PRUNED, Result, is_number
from dml.errors import UserError
from dml.metric_names import metric_key, metric_of
from dml.writing import cut_off_rest

if TYPE_CHECKING:
    import optuna

JOURNAL = "journal.log"
MISSING = "Optuna searches settings, and is missing in this Python: pip install optuna, or this package's [compare]"


@dataclass(frozen=True)
class Trial:
    """Settings that are tried, and how that ended.

    Attributes:
        number: from 0.
        values: setting → value.
        results: of its folds, in their order, as far as they have ended; after one that was pruned or diverged no
            other is begun.
    """

    number: int
    values: dict[str, Any]
    results: tuple[Result, ...] = ()

    def has_ended(self, folds: int) -> bool:
        """Whether nothing of it is left to run."""
        return len(self.results) == folds or any(result.state in (PRUNED, DIVERGED) for result in self.results)

    def value(self, folds: int) -> float | None:
        """Mean over all folds; None of a trial that did not train on all of them to the end."""
        states = {result.state for result in self.results}
        if len(self.results) < folds or states & {PRUNED, DIVERGED}:
            return None
        return sum(result.value for result in self.results) / folds

    def curve(self, epochs: int) -> dict[int, float]:
        """Step → value over its folds, one after the other."""
        return {
            place * epochs + epoch: value
            for place, result in enumerate(self.results)
            for epoch, value in sorted(result.curve.items())
        }


def import_optuna() -> Any:
    """Optuna, without its remarks. UserError if it is not installed."""
    try:
        import optuna
    except ModuleNotFoundError as error:
        if error.name != "optuna":
            raise
        raise UserError(MISSING) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def best_trial(trials: Sequence[Trial], protocol: Protocol) -> Trial | None:
    """The first of those of the best value; None where none trained to the end."""
    sign = -1 if metric_of(metric_key(protocol.select_metric)).lower_is_better else 1
    judged = [(trial, trial.value(protocol.folds_of_trial)) for trial in trials]
    judged = [(trial, sign * value) for trial, value in judged if is_number(value)]
    return max(judged, key=lambda pair: pair[1])[0] if judged else None


def propose(
    method: Method, protocol: Protocol, epochs: int, number: int, before: Sequence[Trial], beside: Sequence[Trial]
) -> dict[str, Any]:
    """The settings of trial ``number`` by TPE: a function of what stands here, and of nothing else.

    Args:
        before: trials of earlier generations, which have ended.
        beside: earlier trials of its own generation, of which only the settings count.
    """
    optuna = import_optuna()
    distributions = {name: found.distribution() for name, found in method.search.items()}
    seed = hashlib.blake2b(f"{protocol.search_seed}/{number}".encode(), digest_size=4).digest()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that are called experimental
        sampler = optuna.samplers.TPESampler(
            seed=int.from_bytes(seed, "big"), n_startup_trials=protocol.generation, constant_liar=True
        )
        study = optuna.create_study(direction=_direction(protocol), sampler=sampler)
        study.add_trials([_frozen(trial, distributions, protocol, epochs) for trial in before])
        running = optuna.trial.TrialState.RUNNING
        study.add_trials(
            [
                optuna.trial.create_trial(state=running, params=trial.values, distributions=distributions)
                for trial in beside
            ]
        )
        drawn = study.ask(distributions).params
    return {name: method.search[name].rounded(value) for name, value in drawn.items()}


def is_to_stop(
    protocol: Protocol, curve: Mapping[int, float], earlier: Sequence[Mapping[int, float]], *, epochs: int
) -> int | None:
    """The first epoch at which Optuna's median pruner stops a run; None: it goes on.

    Args:
        curve: epoch → value so far.
        earlier: curves on the same fold of trials of earlier generations that trained to the end.
        epochs: of a whole run, after the last of which nothing is left to stop.
    """
    if not protocol.prune or len(earlier) < protocol.generation:
        return None
    optuna = import_optuna()
    pruner = optuna.pruners.MedianPruner(
        n_startup_trials=protocol.generation, n_warmup_steps=max(protocol.prune_after, 1)
    )
    study = optuna.create_study(direction=_direction(protocol), pruner=pruner)
    complete, running = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.RUNNING
    study.add_trials(
        [optuna.trial.create_trial(state=complete, value=0.0, intermediate_values=dict(other)) for other in earlier]
    )
    seen: dict[int, float] = {}
    for epoch, value in sorted(curve.items()):
        seen[epoch] = value
        if epoch < epochs and pruner.prune(
            study, optuna.trial.create_trial(state=running, intermediate_values=dict(seen))
        ):
            return epoch
    return None


class Journal:
    """Optuna's journal file, which holds a study for each method: the settings that were chosen and how they did.

    Read and written by one process at a time, who holds the comparison's lock. What was chosen stands here before it
    is begun; how it ended follows from the run folders, and is repeated here for Optuna's own tools.

    Args:
        out: the comparison's folder.
    """

    def __init__(self, out: Path):
        self.optuna = import_optuna()
        self.file = out / JOURNAL
        self._mend()
        backend = self.optuna.storages.journal.JournalFileBackend(str(self.file), lock_obj=_HeldAlready())
        self.storage = self.optuna.storages.JournalStorage(backend)

    def _mend(self) -> None:
        """Cut off a last line that a machine which went down has not finished."""
        if self.file.is_file():
            cut_off_rest(self.file)

    def study(self, name: str, protocol: Protocol) -> optuna.Study:
        """The study of that name, which is made if there is none."""
        try:
            return self.optuna.load_study(storage=self.storage, study_name=name)
        except KeyError:  # asking for it by create_study would add a line to the journal each time
            return self.optuna.create_study(storage=self.storage, study_name=name, direction=_direction(protocol))

    def chosen(self, study: optuna.Study) -> list[dict[str, Any]]:
        """The settings of its trials, by their numbers."""
        return [json.loads(trial.user_attrs["settings"]) for trial in study.get_trials(deepcopy=False)]

    def choose(self, study: optuna.Study, method: Method, values: dict[str, Any]) -> None:
        """Add a trial, in one line of the journal."""
        study.add_trial(
            self.optuna.trial.create_trial(
                state=self.optuna.trial.TrialState.RUNNING,
                params=values,
                distributions={name: found.distribution() for name, found in method.search.items()},
                user_attrs={"settings": json.dumps(values)},
            )
        )

    def close(self, study: optuna.Study, trials: Sequence[Trial], protocol: Protocol, epochs: int) -> None:
        """Write down how those trials did that have ended and are still open here."""
        recorded = study.get_trials(deepcopy=False)
        for trial in trials:
            there = recorded[trial.number]
            if there.state.is_finished():
                continue
            for step, value in trial.curve(epochs).items():
                if step not in there.intermediate_values:
                    self.storage.set_trial_intermediate_value(there._trial_id, step, value)
            value = trial.value(protocol.folds_of_trial)
            self.storage.set_trial_state_values(
                there._trial_id, _state(trial, protocol), None if value is None else [value]
            )


class _HeldAlready:
    """In place of a lock of the journal's own."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def _direction(protocol: Protocol) -> str:
    return "minimize" if metric_of(metric_key(protocol.select_metric)).lower_is_better else "maximize"


def _state(trial: Trial, protocol: Protocol) -> Any:
    from optuna.trial import TrialState

    if any(result.state == DIVERGED for result in trial.results):
        return TrialState.FAIL
    return TrialState.PRUNED if trial.value(protocol.folds_of_trial) is None else TrialState.COMPLETE


def _frozen(trial: Trial, distributions: Mapping[str, Any], protocol: Protocol, epochs: int) -> Any:
    from optuna.trial import create_trial

    return create_trial(
        state=_state(trial, protocol),
        value=trial.value(protocol.folds_of_trial),
        params=trial.values,
        distributions=dict(distributions),
        intermediate_values=trial.curve(epochs),
    )
