"""A comparison of methods, of ``code/compare.py``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dml.cli.compare import CompareCommand
from dml.compare.commands import Places, check_commands
from dml.compare.plan import Plan, read_plan
from dml.compare.report import write_report
from dml.compare.running import Stop
from dml.compare.state import MethodState
from dml.compare.study import import_optuna
from dml.compare.worker import Worker, held
from dml.config import ROOT
from dml.errors import UserError
from dml.tracking import say

FINAL_RUN = re.compile(r"(.+)_s\d+(?:_f\d+)?_[0-9a-f]{8}")
"""The name of a run of a method's best settings."""


def run(command: CompareCommand) -> None:
    """Do what is left of a comparison, as ``command`` says, and report on it.

    Raises:
        UserError: a plan that is wrong, or a run that ended with an error.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the same command goes on.
    """
    plan, places = read_plan(command.plan), _places(command)
    data = check_commands(plan, places)
    if any(method.search for method in plan.methods):
        import_optuna()
    worker = Worker(plan, places, next(iter(data.values())))
    states = worker.look()
    say(told(plan, states, places, worker.comparison.data))
    if command.submit is not None:
        from dml.compare.submit import submit

        line = [sys.executable, str(ROOT / "code" / "compare.py"), *command.words(), "--no-wait"]
        how = {"jobs": command.jobs, "options": command.slurm, "name": command.plan.stem}
        submit(line, folder=command.out / "slurm", **how)
        return
    if not command.status:
        with Stop.heeding(), _helpers(command):
            states = worker.work(waits=not command.no_wait)
    with held(places.out):
        report = write_report(places.out, plan, states)
    say(f"\n{report.text}\n")
    say("\n".join(f"{name}: {places.out / name}" for name in ("report.md", "report.csv", "bars.png")))


def told(plan: Plan, states: Sequence[MethodState], places: Places, data: str) -> str:
    """How far each method is, and what of the folder belongs to no part of the plan as it is now."""
    folds, lines = plan.protocol.folds_of_trial, []
    seeds, final_runs = len(plan.protocol.seeds), len(plan.protocol.seeds) * len(plan.protocol.final_folds)
    known: set[str] = set()
    for state in states:
        ended = sum(trial.has_ended(folds) for trial in state.trials)
        runs = [result for seed in state.seeds.values() for result in seed.results]
        final = f"{sum(result is not None for result in runs)} of {final_runs} final runs"
        searched = f"{ended} of {plan.trials_of(state.method)} trials, " if state.method.search else ""
        tested = sum(seed.judged is not None for seed in state.seeds.values())
        lines.append(f"{state.method.name}: {searched}{final}, {tested} of {seeds} seeds tested")
        known |= {command.name for seed in state.seeds.values() for command in seed.commands}
    return "\n".join(
        [f"comparison in {places.out}", *(f"  {line}" for line in lines), *_left(states, places.runs / data, known)]
    )


def _left(states: Sequence[MethodState], runs: Path, known: set[str]) -> Iterator[str]:
    """A line on final runs of settings that are not, or no longer, the plan's; of a search under way none is known."""
    searching = {state.method.name for state in states if not state.is_searched}
    there = {file.parent.name for file in runs.glob("*/result.json")} - known
    methods = [found[1] for name in there if (found := FINAL_RUN.fullmatch(name))]
    if number := sum(method not in searching for method in methods):
        yield f"  {number} final runs are of other settings than the plan's: they stay, and do not count"


@contextmanager
def _helpers(command: CompareCommand) -> Iterator[None]:
    """The other processes of ``--jobs``, each with its share of the processors; they end with this one."""
    share = max(1, (os.cpu_count() or 1) // command.jobs)
    if command.jobs > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(share))
    line = [sys.executable, str(ROOT / "code" / "compare.py"), *command.words()]
    output = command.out / "output"
    output.mkdir(parents=True, exist_ok=True)
    started = []
    try:
        for number in range(2, command.jobs + 1):
            with (output / f"job_{number}.txt").open("a") as file:
                started.append(subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT))
        yield
        for number, process in enumerate(started, start=2):
            while process.poll() is None:
                Stop.check()
                time.sleep(0.1)
            if process.returncode:
                raise UserError(f"process {number} of --jobs {command.jobs} ended early: see {output}/job_{number}.txt")
    finally:
        for process in started:
            if process.poll() is None:
                process.terminate()
        for process in started:
            process.wait()


def _places(command: CompareCommand) -> Places:
    movable = () if command.data_dir is None else ("--data-dir", str(command.data_dir))
    movable += () if command.workers is None else ("--workers", str(command.workers))
    weights = () if command.weights is None else ("--weights", str(Path(command.weights)))
    return Places(command.out, movable, weights, command.record)
