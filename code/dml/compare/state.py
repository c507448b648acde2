"""Where a comparison stands, by its run folders and Optuna's journal, and what is to be done next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dml.compare.commands import (
    TRIAL,
    Command,
    Places,
    digest_of,
    final_command,
    search_digest,
    source_command,
    trial_command,
)
from dml.compare.judging import Judged, read_judged
from dml.compare.plan import Method, Plan
from dml.compare.record import Record
from dml.compare.results import DIVERGED, Result, read_result
from dml.compare.study import Journal, Trial, best_trial, propose


@dataclass(frozen=True)
class Unit:
    """One thing to do, which one process does.

    Attributes:
        name: of the lock that it is claimed by.
        command: a training; None: the look at the test split through ``networks``.
        earlier: of a trial, the curves that decide whether it is pruned.
        networks: run folders, in the order of the folds.
        file: where the figures of the test split are kept.
    """

    name: str
    command: Command | None = None
    earlier: tuple[dict[int, float], ...] = ()
    networks: tuple[Path, ...] = ()
    file: Path | None = None

    @property
    def is_trial(self) -> bool:
        """Whether it is a training of the search."""
        return self.command is not None and self.command.kind == TRIAL


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
        chosen: the trial whose settings were best; None: the search goes on, no trial trained to the end, or nothing is
            searched.
        best: the settings that were best; None: the search goes on, or no trial trained to the end.
        source: where the method stands whose networks it begins with.
        seeds: seed → the runs with them.
    """

    method: Method
    trials: list[Trial] = field(default_factory=list)
    is_searched: bool = False
    chosen: Trial | None = None
    best: dict | None = None
    source: MethodState | None = None
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
        self.record = Record(places.record)
        self._results: dict[str, Result] = {}
        self._commands: dict[tuple, Command] = {}

    def folder(self, command: Command) -> Path:
        """Its run folder."""
        return command.folder(self.places, self.data)

    def look(self) -> list[MethodState]:
        """Where every method stands; chooses the settings of the next trials, and adds to the record what has ended.
        Held: the comparison's lock."""
        self.record.read_on()
        journal = Journal(self.places.out) if any(method.search for method in self.plan.methods) else None
        states: dict[str, MethodState] = {}
        for method in self.plan.methods:
            states[method.name] = self._method(method, journal, states.get(method.source or ""))
        for command in self._commands.values():
            if (result := self._results.get(command.name)) is not None:
                self.record.keep_result(command, result, self.folder(command))
        return list(states.values())

    def units(self, states: Sequence[MethodState]) -> Iterator[Unit]:
        """What can be done now, searches first; of a run whose source is not trained yet, the source."""
        for state in states:
            for trial in state.trials:
                if not trial.has_ended(self.plan.protocol.folds_of_trial):
                    unit = self._trial_unit(state, trial)
                    yield self._missing_source(unit.command) or unit
        for state in states:
            for seed in state.seeds.values():
                if all(seed.results) and not seed.is_done:
                    folders = tuple(map(self.folder, seed.commands))
                    yield Unit(seed.file.stem, networks=folders, file=seed.file)
        for state in states:
            for seed in state.seeds.values():
                for command, result in zip(seed.commands, seed.results, strict=True):
                    if result is None:
                        yield self._missing_source(command) or Unit(command.name, command)

    def _missing_source(self, command: Command) -> Unit | None:
        """What is to be trained before ``command``."""
        if command.source is None:
            return None
        source = command.source[1]
        if self._result(source, with_network=True) is None:
            return self._missing_source(source) or Unit(source.name, source)
        return None

    def _method(self, method: Method, journal: Journal | None, source: MethodState | None) -> MethodState:
        state, plan = MethodState(method, source=source), self.plan
        if source is not None and source.best is None:
            state.is_searched = source.is_searched
            return state
        if method.search:
            self._search(state, journal)
            state.chosen = best_trial(state.trials, plan.protocol) if state.is_searched else None
            state.best = None if state.chosen is None else state.chosen.values
        else:
            state.is_searched, state.best = True, {}
        if state.best is not None:
            state.seeds = {seed: self._seed(state, seed) for seed in plan.protocol.seeds}
        return state

    def _search(self, state: MethodState, journal: Journal) -> None:
        """Read the trials, and choose another generation when all before it have ended."""
        method, protocol, epochs = state.method, self.plan.protocol, self.plan.budget.epochs
        digest = search_digest(self.plan, method, self._source_of_trials(state, 1))
        study = journal.study(f"{method.name}_{digest[:8]}", protocol)
        number, folds = self.plan.trials_of(method), protocol.folds_of_trial
        chosen = journal.chosen(study)
        while True:
            trials = [self._trial(state, place, values) for place, values in enumerate(chosen)]
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

    def _trial(self, state: MethodState, number: int, values: dict) -> Trial:
        results = []
        for fold in range(1, self.plan.protocol.folds_of_trial + 1):
            result = self._result(self._trial_command(state, number, values, fold))
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
        earlier = tuple(t.results[place].curve for t in before if t.value(protocol.folds_of_trial) is not None)
        command = self._trial_command(state, trial.number, trial.values, place + 1)
        return Unit(command.name, command, earlier)

    def _trial_command(self, state: MethodState, number: int, values: dict, fold: int) -> Command:
        key = (state.method.name, "trial", number, fold)
        if key not in self._commands:
            source = self._source_of_trials(state, fold)
            self._commands[key] = trial_command(self.plan, state.method, number, values, fold, source)
        return self._commands[key]

    def _source_of_trials(self, state: MethodState, fold: int) -> Command | None:
        """The run whose network a method's trials on a fold begin with."""
        if (source := state.source) is None:
            return None
        key = (source.method.name, "source", fold)
        if key not in self._commands:
            above = self._source_of_trials(source, fold)
            self._commands[key] = source_command(self.plan, source.method, source.best or {}, fold, above)
        return self._commands[key]

    def _final_command(self, state: MethodState, seed: int, fold: int | None) -> Command:
        key = (state.method.name, "final", seed, fold)
        if key not in self._commands:
            source = None if state.source is None else self._final_command(state.source, seed, fold)
            self._commands[key] = final_command(self.plan, state.method, state.best or {}, seed, fold, source)
        return self._commands[key]

    def _seed(self, state: MethodState, seed: int) -> SeedState:
        commands = tuple(self._final_command(state, seed, fold) for fold in self.plan.protocol.final_folds)
        name = f"{state.method.name}_s{seed}_{digest_of([command.name for command in commands])[:8]}"
        file = self.places.out / "tests" / f"{name}.json"
        if (judged := read_judged(file)) is not None:
            self.record.keep_judged(name, judged)
        judged = judged or self.record.judged(name)
        results = tuple(self._result(command, with_network=judged is None) for command in commands)
        return SeedState(commands, results, file, judged)

    def _result(self, command: Command, *, with_network: bool = False) -> Result | None:
        """What a run came to; what has ended once stays so; one whose source diverged has diverged.

        Args:
            with_network: a record alone is not enough.
        """
        source = None if command.source is None else self._result(command.source[1])
        if source is not None and source.state == DIVERGED:
            return source
        if command.name not in self._results and (found := read_result(self.folder(command))) is not None:
            self._results[command.name] = found
        if (known := self._results.get(command.name)) is not None:
            return known
        recorded = self.record.result(command.name)
        return None if with_network and recorded is not None and recorded.state != DIVERGED else recorded
