"""A plan: which methods are compared, on what, for how long, and by which protocol; read from a TOML file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from dml.api.running import PROGRAMS
from dml.compare.ranges import SearchRange, range_of
from dml.config.train import own_name
from dml.errors import UserError
from dml.metric_names import is_metric, metric_key

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib  # type: ignore[no-redef]

FINAL_CLASSES = ("folds", "all")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
TRAINING = tuple(name for name in PROGRAMS if name != "classify.py")


@dataclass(frozen=True)
class Budget:
    """What every method is given, the same for all.

    Attributes:
        epochs: of every training.
        trials: settings that are tried of each method that has some to search; each trial trains on every fold.
    """

    epochs: int
    trials: int = 12


@dataclass(frozen=True)
class Protocol:
    """How methods are judged.

    Attributes:
        folds: k of the k-fold cross-validation over training classes, 2 or more.
        search_folds: on how many of them, the first ones, a trial trains; 0: on all.
        final: what the best settings are trained on: ``folds``, each of them, its held-out classes choosing the epoch;
            or ``all``, all training classes at once, the last epoch being the result.
        seeds: of the trainings with the best settings; each also draws the folds.
        search_seed: of the trainings and folds of the search, and of what it draws.
        select_metric: on held-out classes it chooses a run's best epoch and a method's best settings.
        metrics: what is computed, names as of ``--metrics``.
        report: keys of those that the table shows.
        generation: trials of a method that are chosen together, from the results of earlier ones; the first of them
            are drawn at random.
        prune: whether a trial stops that is, at some epoch, worse than the median of earlier generations' trials.
        prune_after: epochs of a fold before it may.
        keep_trials: whether the checkpoints of finished trials are kept.
    """

    folds: int = 4
    search_folds: int = 0
    final: str = "folds"
    seeds: tuple[int, ...] = (1, 2, 3)
    search_seed: int = 0
    select_metric: str = "map_at_r"
    metrics: tuple[str, ...] = ("recall", "map_at_r")
    report: tuple[str, ...] = ("recall_at_1", "map_at_r")
    generation: int = 4
    prune: bool = True
    prune_after: int = 1
    keep_trials: bool = False

    @property
    def folds_of_trial(self) -> int:
        """How many trainings a trial is."""
        return self.search_folds or self.folds

    @property
    def final_folds(self) -> tuple[int | None, ...]:
        """What the best settings are trained on with each seed: folds, from 1; None: all training classes."""
        return (None,) if self.final == "all" else tuple(range(1, self.folds + 1))


@dataclass(frozen=True)
class Method:
    """One of those that are compared.

    Attributes:
        program: the entry point that trains it.
        flags: words of its command line.
        search: setting → the values to try; empty: the flags are taken as they are.
        source: the method whose network it begins with: that of the same seed on the same classes, as ``--source-ckpt``
            of ``train_target.py``, as ``--init-from`` of the others; None: of none.
    """

    name: str
    program: str
    flags: tuple[str, ...]
    search: Mapping[str, SearchRange]
    source: str | None = None

    @property
    def source_flag(self) -> str:
        """By which it is given the checkpoint of its source."""
        return "--source-ckpt" if self.program == "train_target.py" else "--init-from"


@dataclass(frozen=True)
class Plan:
    """A whole comparison.

    Attributes:
        file: where it was read from.
        flags: words that all methods have: data and network; a method's own come behind them, and win.
    """

    file: Path
    flags: tuple[str, ...]
    budget: Budget
    protocol: Protocol
    methods: tuple[Method, ...]

    def trials_of(self, method: Method) -> int:
        """How many settings of it are tried."""
        return self.budget.trials if method.search else 0


def read_plan(file: Path) -> Plan:
    """The plan in a TOML file; what its flags come to is checked by ``dml.compare.commands.check_commands``.

    Raises:
        UserError: naming the file and the key that is wrong.
    """
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{file}: no such plan") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{file}: not TOML ({error})") from None
    try:
        return _plan(file, content)
    except UserError as error:
        raise UserError(f"{file}: {error}") from None


def _plan(file: Path, content: dict[str, Any]) -> Plan:
    _only(content, "", "data", "network", "budget", "protocol", "methods")
    shared: list[str] = []
    for name in ("data", "network"):
        table = _table(content, name)
        _only(table, f"[{name}] ", "flags")
        shared += _words(table, f"[{name}]")
    budget = _filled(Budget, _table(content, "budget"), "[budget]")
    protocol = _filled(Protocol, _table(content, "protocol"), "[protocol]")
    _check(budget, protocol)
    methods = _table(content, "methods")
    if not methods:
        raise UserError("[methods.NAME]: a plan compares at least one method")
    return Plan(file, tuple(shared), budget, protocol, tuple(_method(name, methods) for name in methods))


def _method(name: str, methods: dict[str, Any]) -> Method:
    where, table = f"[methods.{name}]", _table(methods, name, "methods.")
    if not NAME.fullmatch(name):
        raise UserError(f"{where}: a name has letters, digits, dots, - and _, since run folders are called by it")
    _only(table, f"{where} ", "program", "flags", "search", "source")
    program = own_name(str(table.get("program", "train.py")))
    if program not in TRAINING:
        raise UserError(f"{where} program: {program!r} is not one of {', '.join(TRAINING)}")
    search = _table(table, "search", f"methods.{name}.")
    ranges = {key: range_of(f"[methods.{name}.search] {key}", value) for key, value in search.items()}
    source, before = table.get("source"), list(methods)[: list(methods).index(name)]
    if source is not None and source not in before:
        raise UserError(f"{where} source: {source!r} is none of the methods above it ({', '.join(before) or 'none'})")
    return Method(name, program, tuple(_words(table, where)), ranges, source)


def _words(table: Mapping[str, Any], where: str) -> list[str]:
    flags = table.get("flags", "")
    if not isinstance(flags, str):
        raise UserError(f'{where} flags: a text such as "--loss triplet --lr 1e-4", not {flags!r}')
    try:
        return shlex.split(flags)
    except ValueError as error:
        raise UserError(f"{where} flags: {error}") from None


def _table(content: Mapping[str, Any], name: str, above: str = "") -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise UserError(f"{above}{name}: a table, [{above}{name}], not {table!r}")
    return table


def _only(table: Mapping[str, Any], where: str, *valid: str) -> None:
    for key in table:
        if key not in valid:
            raise UserError(f"{where}{key}: no such key; there are {', '.join(valid)}")


def _filled(kind: type, table: dict[str, Any], where: str) -> Any:
    """``kind`` with the values of ``table``, each of the type of its default."""
    known = {item.name: item for item in fields(kind)}
    _only(table, f"{where} ", *known)
    values = {}
    for name, item in known.items():
        if name not in table:
            if item.default is MISSING:
                raise UserError(f"{where} {name}: is missing")
            continue
        like = 1 if item.default is MISSING else item.default
        values[name] = _like(like, table[name], f"{where} {name}")
    return kind(**values)


def _like(like: Any, value: Any, where: str) -> Any:
    if isinstance(like, tuple):
        if not (isinstance(value, list) and value and all(type(item) is type(like[0]) for item in value)):
            kind = "whole numbers" if isinstance(like[0], int) else "texts"
            raise UserError(f"{where}: a list of {kind}, not {value!r}")
        if len(set(value)) < len(value):
            raise UserError(f"{where}: {value!r} names something twice")
        return tuple(value)
    if type(value) is not type(like):
        kind = {bool: "true or false", int: "a whole number", str: "a text"}[type(like)]
        raise UserError(f"{where}: {kind}, not {value!r}")
    return value


def _check(budget: Budget, protocol: Protocol) -> None:
    least = {"[budget] epochs": (budget.epochs, 1), "[budget] trials": (budget.trials, 1)}
    least |= {"[protocol] folds": (protocol.folds, 2), "[protocol] generation": (protocol.generation, 1)}
    least |= {"[protocol] prune_after": (protocol.prune_after, 0), "[protocol] search_seed": (protocol.search_seed, 0)}
    least |= {"[protocol] seeds": (min(protocol.seeds), 0)}
    least |= {"[protocol] search_folds": (protocol.search_folds, 0)}
    for where, (value, smallest) in least.items():
        if value < smallest:
            raise UserError(f"{where}: {value} is less than {smallest}")
    if protocol.search_folds > protocol.folds:
        raise UserError(f"[protocol] search_folds: {protocol.search_folds} of {protocol.folds} folds")
    if protocol.final not in FINAL_CLASSES:
        raise UserError(f"[protocol] final: {protocol.final!r} is not one of {', '.join(FINAL_CLASSES)}")
    for name in (protocol.select_metric, *protocol.report):
        if not is_metric(metric_key(name)):
            raise UserError(f"[protocol] report and select_metric: there is no metric {name!r}")
