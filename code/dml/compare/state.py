"""Where a comparison stands, by its run folders and Optuna's journal, and what is to be done next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dml.compare.commands import Command, Places, digest_of, final_command, search_digest, trial_command
from dml.compare.judging import Judged, read_judged
from dml.compare.plan import Method, Plan
from dml.compare.results import DIVERGED, Result, read_result
from dml.compare.running import folder_of
from dml.compare.study import Journal, Trial, best_trial, propose


@dataclass(frozen=True)
class Unit:
    """One thing to do, which one process does.

    Attributes:
        name: of the lock that it is claimed by.
        command: a training; None: the look at the test split through ``networks``.
        is_trial: whether it is one of the search.
        earlier: of a trial, the curves that decide whether it is pruned.
        networks: run folders, in the order of the folds.
        file: where the figures of the test split are kept.
    """

    name: str
    command: Command | None = None
    is_trial: bool = False
    earlier: tuple[dict[int, float], ...] = ()
    networks: tuple[Path, ...] = ()
    file: Path | None = None


@dataclass
class SeedState:
    """A method's best settings with one seed.

    Attributes:
        commands: one for each fold.
        results: theirs; None of one that has not ended.
        file: where the figures of the test split are kept.
        judged: those; None: nobody has looked yet, or a fold diverged.
    """

    commands: tuple[Command, ...]
    results: tuple[Result | None, ...]
    file: Path
    judged: Judged | None

    @property
    def diverged(self) -> bool:
        return any(result is not None and result.state == DIVERGED for result in self.results)

    @property
    def is_done(self) -> bool:
        return all(self.results) and (self.diverged or self.judged is not None)


@dataclass
class MethodState:
    """Where a method stands.

    Attributes:
        trials: those that were chosen so far.
        is_searched: whether no trial of the plan is left.
        best: the settings that were best; None: the search goes on, or no trial trained to the end.
        seeds: seed → the runs with them.
    """

    method: Method
    trials: list[Trial] = field(default_factory=list)
    is_searched: bool = False
    best: dict | None = None
    seeds: dict[int, SeedState] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        return self.is_searched and all(seed.is_done for seed in self.seeds.values())


class Comparison:
    """A plan and what is done of it.

    Args:
        data: name of the images.
    """

    def __init__(self, plan: Plan, places: Places, data: str):
        self.plan, self.places, self.data = plan, places, data
        self._results: dict[str, Result] = {}
        self._searches = {method.name: f"{method.name}_{search_digest(plan, method)[:8]}" for method in plan.methods}
        self._commands: dict[tuple, Command] = {}

    def folder(self, command: Command) -> Path:
        """Its run folder."""
        return folder_of(command, self.places, self.data)

    def look(self) -> list[MethodState]:
        """Where every method stands; chooses the settings of the next trials. Held: the comparison's lock."""
        journal = Journal(self.places.out) if any(method.search for method in self.plan.methods) else None
        return [self._method(method, journal) for method in self.plan.methods]

    def units(self, states: Sequence[MethodState]) -> Iterator[Unit]:
        """What can be done now, searches first."""
        protocol = self.plan.protocol
        for state in states:
            for trial in state.trials:
                if not trial.has_ended(protocol.folds):
                    yield self._trial_unit(state, trial)
        for state in states:
            for seed in state.seeds.values():
                if all(seed.results) and not seed.is_done:
                    folders = tuple(map(self.folder, seed.commands))
                    yield Unit(seed.file.stem, networks=folders, file=seed.file)
        for state in states:
            for seed in state.seeds.values():
                for command, result in zip(seed.commands, seed.results, strict=True):
                    if result is None:
                        yield Unit(command.name, command)

    def _method(self, method: Method, journal: Journal | None) -> MethodState:
        state, plan = MethodState(method), self.plan
        if method.search:
            self._search(state, journal)
            best = best_trial(state.trials, plan.protocol) if state.is_searched else None
            state.best = None if best is None else best.values
        else:
            state.is_searched, state.best = True, {}
        if state.best is not None:
            state.seeds = {seed: self._seed(method, state.best, seed) for seed in plan.protocol.seeds}
        return state

    def _search(self, state: MethodState, journal: Journal) -> None:
        """Read the trials, and choose another generation when all before it have ended."""
        method, protocol, epochs = state.method, self.plan.protocol, self.plan.budget.epochs
        study = journal.study(self._searches[method.name], protocol)
        number, folds = self.plan.trials_of(method), protocol.folds
        chosen = journal.chosen(study)
        while True:
            trials = [self._trial(method, place, values) for place, values in enumerate(chosen)]
            ended = [trial for trial in trials if trial.has_ended(folds)]
            begun = len(chosen) - len(chosen) % protocol.generation
            first = begun if len(chosen) > begun else len(chosen)  # of the generation that is to be chosen
            if len(chosen) >= number or any(not trial.has_ended(folds) for trial in trials[:first]):
                break
            for place in range(len(chosen), min(first + protocol.generation, number)):
                beside = [Trial(at, chosen[at]) for at in range(first, place)]
                values = propose(method, protocol, epochs, place, trials[:first], beside)
                journal.choose(study, method, values)
                chosen.append(values)
        journal.close(study, ended, protocol, epochs)
        state.trials = trials[:number]
        state.is_searched = len(chosen) >= number and all(trial.has_ended(folds) for trial in state.trials)

    def _trial(self, method: Method, number: int, values: dict) -> Trial:
        results = []
        for fold in range(1, self.plan.protocol.folds + 1):
            result = self._result(self._trial_command(method, number, values, fold))
            if result is None:
                break
            results.append(result)
            if result.state != "finished":
                break
        return Trial(number, values, tuple(results))

    def _trial_unit(self, state: MethodState, trial: Trial) -> Unit:
        """The next fold of a trial: one after the other, for what the first shows may end it."""
        protocol = self.plan.protocol
        place = len(trial.results)
        before = state.trials[: trial.number - trial.number % protocol.generation]
        earlier = tuple(t.results[place].curve for t in before if t.value(protocol.folds) is not None)
        command = self._trial_command(state.method, trial.number, trial.values, place + 1)
        return Unit(command.name, command, True, earlier)

    def _trial_command(self, method: Method, number: int, values: dict, fold: int) -> Command:
        key = (method.name, number, fold)
        if key not in self._commands:
            self._commands[key] = trial_command(self.plan, method, number, values, fold)
        return self._commands[key]

    def _seed(self, method: Method, values: dict, seed: int) -> SeedState:
        folds = range(1, self.plan.protocol.folds + 1)
        key = (method.name, "final", seed)
        if key not in self._commands:
            self._commands[key] = tuple(final_command(self.plan, method, values, seed, fold) for fold in folds)
        commands = self._commands[key]
        name = f"{method.name}_s{seed}_{digest_of([command.name for command in commands])[:8]}"
        file = self.places.out / "tests" / f"{name}.json"
        return SeedState(commands, tuple(map(self._result, commands)), file, read_judged(file))

    def _result(self, command: Command) -> Result | None:
        """What a run came to; what has ended once stays so."""
        if command.name not in self._results and (found := read_result(self.folder(command))) is not None:
            self._results[command.name] = found
        return self._results.get(command.name)
