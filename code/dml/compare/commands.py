"""The command lines of a comparison: those of its trials and of its final runs, and what tells them apart."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dml.api.running import PROGRAMS, resolve
from dml.cli.parser import Parser, raising
from dml.compare.plan import Method, Plan
from dml.conditions import flag_of
from dml.config import TrainConfig
from dml.data import DATASETS
from dml.errors import UserError
from dml.evaluation.metrics import metric_keys
from dml.metric_names import metric_key
from dml.places import FILES, PLACES

TRIAL, SOURCE, FINAL = "trial", "source", "final"
OF_THE_PROTOCOL = {
    **dict.fromkeys(("epochs", "trials"), "[budget] says it for all"),
    **dict.fromkeys(("metrics", "select_metric", "storage_metrics", "eval_metric"), "[protocol] says it for all"),
    **dict.fromkeys(("fold", "val_split", "val_by_images", "use_tv_split", "seed"), "[protocol] sets it for every run"),
    **dict.fromkeys(("select", "eval_test_every"), "the test split is looked at once, when all is trained"),
    **dict.fromkeys(("run_name", "remark", "log_dir", "resume_run", "save", "print_config"), "a run has its own"),
}
"""Flags that a plan must not have → why."""


@dataclass(frozen=True)
class Places:
    """Where a comparison keeps its things, and where what it reads is on this machine.

    Attributes:
        out: its folder.
        flags: words for every run that change nothing but places: ``--data-dir``, ``--workers``.
        first_flags: those for runs that begin: ``--weights``.
        record: the file that keeps what runs came to; None: their folders alone do.
    """

    out: Path
    flags: tuple[str, ...] = ()
    first_flags: tuple[str, ...] = ()
    record: Path | None = None

    @property
    def runs(self) -> Path:
        return self.out / "runs"


@dataclass(frozen=True)
class Command:
    """A training with a name of its own.

    Attributes:
        program: the entry point.
        words: its command line, without name and places.
        name: of the run folder; it ends in a digest of what determines the run.
        caches: whether features of its images can be those of other runs.
        method: what the plan calls it.
        kind: ``TRIAL``, ``SOURCE`` (what trials of another method begin with) or ``FINAL``.
        source: the run whose network it begins with, and the flag that says so.
    """

    program: str
    words: tuple[str, ...]
    name: str
    caches: bool = False
    method: str = ""
    kind: str = FINAL
    source: tuple[str, Command] | None = None

    def folder(self, places: Places, data: str) -> Path:
        """Its run folder; ``data`` is the name of the images."""
        return places.runs / data / self.name

    def line(self, places: Places, data: str, folder: Path | None = None) -> list[str]:
        """The words that begin it, or with ``folder`` those that continue it."""
        if folder is not None:
            return [self.program, "--resume-run", str(folder), *places.flags]
        where = ["--log-dir", str(places.runs), "--run-name", self.name, "--wandb", "disabled", "--pictures", "0"]
        where += ["--feature-cache", str(places.out / "features")] if self.caches else []
        if self.source is not None:
            flag, source = self.source
            where += [flag, str(source.folder(places, data) / "best.pt")]
        return [self.program, *self.words, *places.first_flags, *places.flags, *where]


def trial_command(
    plan: Plan, method: Method, number: int, values: Mapping[str, Any], fold: int, source: Command | None = None
) -> Command:
    """The run of a trial on one fold, counted from 1."""
    words = [*_words(plan, method, values, seed=plan.protocol.search_seed, fold=fold), "--save", "0"]
    return _named(method, words, f"{method.name}_t{number:02d}_f{fold}", source, TRIAL)


def final_command(
    plan: Plan, method: Method, values: Mapping[str, Any], seed: int, fold: int | None, source: Command | None = None
) -> Command:
    """The run of a method's best settings with one seed on one fold; None: on all training classes."""
    words = [*_words(plan, method, values, seed=seed, fold=fold), "--save", "1"]
    return _named(method, words, f"{method.name}_s{seed}{'' if fold is None else f'_f{fold}'}", source, FINAL)


def source_command(
    plan: Plan, method: Method, values: Mapping[str, Any], fold: int, source: Command | None = None
) -> Command:
    """The run of a method's best settings whose network the trials of another method begin with, on one fold."""
    words = [*_words(plan, method, values, seed=plan.protocol.search_seed, fold=fold), "--save", "1"]
    return _named(method, words, f"{method.name}_source_f{fold}", source, SOURCE)


def _words(plan: Plan, method: Method, values: Mapping[str, Any], *, seed: int, fold: int | None) -> list[str]:
    protocol, epochs = plan.protocol, str(plan.budget.epochs)
    found = [f"{flag_of(name)}={int(v) if isinstance(v, bool) else v}" for name, v in values.items()]
    told = ["--epochs", epochs, "--seed", str(seed), "--select-metric", protocol.select_metric]
    if fold is None:  # the last epoch alone is evaluated, so that nothing can be chosen
        told += ["--eval-every", epochs]
    else:
        told += ["--fold", f"{fold}/{protocol.folds}", "--select", "val", "--eval-test-every", "0"]
    return [*plan.flags, *method.flags, *found, *told, "--metrics", *protocol.metrics]


def _named(method: Method, words: Sequence[str], name: str, source: Command | None, kind: str) -> Command:
    caches = bool(_typed(method.program, words).get("cache_features"))
    digest = run_digest(method.program, words if source is None else [*words, method.source_flag, source.name])
    named = None if source is None else (method.source_flag, source)
    return Command(method.program, tuple(words), f"{name}_{digest[:8]}", caches, method.name, kind, named)


def run_digest(program: str, words: Sequence[str]) -> str:
    """Of what was typed but for ``PLACES``: the same in any order and spelling."""
    return digest_of({"program": program, "typed": _typed(program, words)})


def search_digest(plan: Plan, method: Method, source: Command | None = None) -> str:
    """Of what determines a method's trials, but for their number; ``source``: of those on the first fold."""
    words = _words(plan, method, {}, seed=plan.protocol.search_seed, fold=1)
    protocol = plan.protocol
    how: tuple = (protocol.folds, protocol.generation, protocol.prune, protocol.prune_after)
    if protocol.search_folds:
        how = (*how, protocol.search_folds)
    if source is not None:
        how = (*how, source.name)
    ranges = {name: vars(found) for name, found in method.search.items()}
    return digest_of({"run": run_digest(method.program, words), "how": how, "ranges": ranges})


def digest_of(content: Any) -> str:
    """32 hexadecimal digits of plain types, whatever the order of keys."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@cache
def _parser(program: str) -> Parser:
    return PROGRAMS[program].parser()


def _typed(program: str, words: Sequence[str]) -> dict[str, Any]:
    with raising():
        typed = _parser(program).parse_typed(words)
    for name in FILES:
        if name in typed:
            typed[name] = Path(typed[name]).name
    return {name: value for name, value in typed.items() if name not in PLACES}


def check_commands(plan: Plan, places: Places) -> dict[str, str]:
    """What every command line of the plan will come to, before the first is run.

    Returns:
        method → the name of its data, which run folders lie under.

    Raises:
        UserError: naming the plan, the method and what is wrong with its flags or ranges.
    """
    names = {}
    for method in plan.methods:
        where = f"{plan.file}: [methods.{method.name}]"
        try:
            for name in _typed(method.program, [*plan.flags, *method.flags]):
                if name in OF_THE_PROTOCOL:
                    raise UserError(f"leave out {flag_of(name)}: {OF_THE_PROTOCOL[name]}")
            config = _resolved(plan, method, {}, places)
            names[method.name] = config.data.name
        except UserError as error:
            raise UserError(f"{where} {error}") from None
        _check_report(plan, config)
        for setting, found in method.search.items():
            if setting.replace("-", "_") in OF_THE_PROTOCOL:
                raise UserError(f"{plan.file}: [methods.{method.name}.search] {setting}: cannot be searched")
            for value in found.ends:
                try:
                    _resolved(plan, method, {setting: value}, places)
                except UserError as error:
                    raise UserError(f"{plan.file}: [methods.{method.name}.search] {setting}: {error}") from None
    if len(set(names.values())) > 1:
        raise UserError(f"{plan.file}: methods of one plan share their data, and these have {names}")
    return names


def _check_report(plan: Plan, config: TrainConfig) -> None:
    """UserError for a metric that the table shows and no run computes."""
    known = metric_keys(plan.protocol.metrics, DATASETS[config.data.dataset].recall_ks)
    if missing := [name for name in plan.protocol.report if metric_key(name) not in known]:
        given = ", ".join(known)
        raise UserError(f"{plan.file}: [protocol] report: {missing[0]} is not computed; metrics gives {given}")


def _resolved(plan: Plan, method: Method, values: Mapping[str, Any], places: Places) -> TrainConfig:
    command = final_command(plan, method, values, plan.protocol.seeds[0], plan.protocol.final_folds[0])
    line = command.line(places, "")
    if method.source is not None and method.source_flag == "--source-ckpt":  # which is asked for, and read later
        line += [method.source_flag, "best.pt"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resolve(line)
