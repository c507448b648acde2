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

PLACES = (
    "data_dir",
    "log_dir",
    "run_name",
    "workers",
    "gpu_id",
    "wandb",
    "tracker",
    "project",
    "group",
    "feature_cache",
)
"""Settings that say where something is or how it is run: two runs that differ in them alone are one."""
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
    """

    out: Path
    flags: tuple[str, ...] = ()
    first_flags: tuple[str, ...] = ()

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
    """

    program: str
    words: tuple[str, ...]
    name: str
    caches: bool = False

    def line(self, places: Places, folder: Path | None = None) -> list[str]:
        """The words that begin it, or with ``folder`` those that continue it."""
        if folder is not None:
            return [self.program, "--resume-run", str(folder), *places.flags]
        where = ["--log-dir", str(places.runs), "--run-name", self.name, "--wandb", "disabled", "--pictures", "0"]
        where += ["--feature-cache", str(places.out / "features")] if self.caches else []
        return [self.program, *self.words, *places.first_flags, *places.flags, *where]


def trial_command(plan: Plan, method: Method, number: int, values: Mapping[str, Any], fold: int) -> Command:
    """The run of a trial on one fold, counted from 1."""
    words = [*_words(plan, method, values, seed=plan.protocol.search_seed, fold=fold), "--save", "0"]
    return _named(plan, method, words, f"{method.name}_t{number:02d}_f{fold}")


def final_command(plan: Plan, method: Method, values: Mapping[str, Any], seed: int, fold: int) -> Command:
    """The run of a method's best settings with one seed on one fold."""
    words = [*_words(plan, method, values, seed=seed, fold=fold), "--save", "1"]
    return _named(plan, method, words, f"{method.name}_s{seed}_f{fold}")


def _words(plan: Plan, method: Method, values: Mapping[str, Any], *, seed: int, fold: int) -> list[str]:
    protocol = plan.protocol
    found = [f"{flag_of(name)}={int(v) if isinstance(v, bool) else v}" for name, v in values.items()]
    told = ["--epochs", str(plan.budget.epochs), "--seed", str(seed), "--fold", f"{fold}/{protocol.folds}"]
    told += ["--select", "val", "--select-metric", protocol.select_metric, "--eval-test-every", "0"]
    return [*plan.flags, *method.flags, *found, *told, "--metrics", *protocol.metrics]


def _named(plan: Plan, method: Method, words: Sequence[str], name: str) -> Command:
    caches = bool(_typed(method.program, words).get("cache_features"))
    return Command(method.program, tuple(words), f"{name}_{run_digest(method.program, words)[:8]}", caches)


def run_digest(program: str, words: Sequence[str]) -> str:
    """Of what was typed but for ``PLACES``: the same in any order and spelling."""
    return digest_of({"program": program, "typed": _typed(program, words)})


def search_digest(plan: Plan, method: Method) -> str:
    """Of what determines a method's trials, but for their number."""
    words = _words(plan, method, {}, seed=plan.protocol.search_seed, fold=1)
    protocol = plan.protocol
    how = (protocol.folds, protocol.generation, protocol.prune, protocol.prune_after)
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
    for name in ("weights", "source_ckpt", "init_from"):  # by their names, for files move
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
    command = final_command(plan, method, values, plan.protocol.seeds[0], 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resolve(command.line(places))
