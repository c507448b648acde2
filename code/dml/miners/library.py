"""Miners of pytorch-metric-learning, and what it takes to reach any class of that library by its name.

``pml/CLASS`` stands for a class of it, its arguments for a JSON object, each checked against the class's signature.
The library is imported by who names one of its classes, and by nobody else.
"""

from __future__ import annotations

import difflib
import inspect
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dml.errors import UserError
from dml.miners.spec import MinerSpec
from dml.options import Option
from dml.registry import UnknownNameError

PREFIX = "pml/"
ARGUMENTS_HELP = "its arguments as JSON, such as '{%s}', the names those of its class"
FROM_OUTSIDE = {"collect_stats", "mat_based_loss", "weight_init_func"}
"""Arguments of the library's bases that no command line can give, or that its classes give themselves."""
PARTS = {"distance": "distances", "reducer": "reducers"} | dict.fromkeys(
    ("embedding_regularizer", "weight_regularizer"), "regularizers"
)
"""Arguments that are objects → where their classes are; their value is a name, or {name: {arguments}}."""
NO_MINERS = {
    "BaseMiner": "it is what miners are derived from, and picks nothing",
    "EmbeddingsAlreadyPackagedAsTriplets": "it takes batches that are triplets in a fixed order, and ours are"
    " images with their classes",
}
"""Classes of the library that cannot serve → why."""


def part_of_library(name: str) -> ModuleType:
    """The library's module ``name``. UserError without the library."""
    try:
        return import_module(f"pytorch_metric_learning.{name}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pytorch_metric_learning":
            raise
        raise UserError(f"{PREFIX}... needs pytorch-metric-learning: `pip install '.[pml]'` installs it") from None


def class_of_library(kind: str, name: str, refused: Mapping[str, str]) -> type[nn.Module]:
    """The class that ``pml/CLASS`` names.

    Args:
        kind: "loss" or "miner".
        name: with the prefix.
        refused: class → why it cannot serve.

    Raises:
        UnknownNameError: no such class; the nearest comes first among those that there are.
        UserError: one that cannot serve, with the reason; or the library is not installed.
    """
    module = part_of_library({"loss": "losses", "miner": "miners"}[kind])
    own = name.removeprefix(PREFIX)
    if own in refused:
        raise UserError(f"--{kind} {name} cannot be used: {refused[own]}")
    found = [key for key, value in vars(module).items() if inspect.isclass(value) and key not in refused]
    if own not in found:
        names = ", ".join(PREFIX + key for key in nearest_first(own, sorted(found)))
        raise UnknownNameError(f"pytorch-metric-learning has no {kind} {own!r}: there are {names}")
    return getattr(module, own)


def nearest_first(name: str, names: Sequence[str]) -> list[str]:
    """The names, those most like ``name`` ahead."""
    folded = {other.lower(): other for other in names}
    near = [folded[other] for other in difflib.get_close_matches(name.lower(), folded, n=3, cutoff=0.4)]
    return near + [other for other in names if other not in near]


def arguments_of(cls: type) -> dict[str, inspect.Parameter]:
    """What can be given to a class: the named arguments of its constructor, and of its bases where it passes on."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or not base.__module__.startswith("pytorch_metric_learning"):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        found |= {p.name: p for p in named if p.name not in FROM_OUTSIDE and p.name not in found}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return found


def read_arguments(flag: str, given: str | Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of a flag. UserError for what is none."""
    if not isinstance(given, str):
        return dict(given)
    try:
        read = json.loads(given)
    except ValueError as error:
        raise UserError(f"--{flag} {given!r} is no JSON, such as '{{\"margin\": 0.2}}': {error}") from None
    if not isinstance(read, dict):
        raise UserError(f"--{flag} {given!r} must be a JSON object, such as '{{\"margin\": 0.2}}'")
    return read


def build_of_library(cls: type, flag: str, given: str | Mapping[str, Any], filled: Mapping[str, Any]) -> nn.Module:
    """An object of a class of the library.

    Args:
        cls: the class.
        flag: that its arguments come from, for messages.
        given: the arguments, or JSON of them.
        filled: arguments that we know, of which those are used that the class takes; None: not known here.

    Raises:
        UserError: an argument that the class does not have, listing those that it has, the nearest first; one that is
            filled in; one that is missing; or what the library says to a value.
    """
    arguments, known = read_arguments(flag, given), arguments_of(cls)
    whose = f"{PREFIX}{cls.__name__}"
    free = [name for name in known if name not in filled]
    for name in arguments:
        if name in known and name in filled:
            raise UserError(f"--{flag}: {name!r} of {whose} is filled in: leave it out")
        if name not in known:
            has = f"its arguments are {', '.join(nearest_first(name, free))}" if free else "it has none"
            raise UserError(f"--{flag}: {whose} has no argument {name!r}: {has}")
    ours = {name: value for name, value in filled.items() if name in known and value is not None}
    missing = [name for name, p in known.items() if p.default is p.empty and name not in ours | arguments]
    if unknown := [name for name in missing if name in filled]:
        raise UserError(f"{whose} needs {' and '.join(unknown)}")
    if missing:
        example = json.dumps(dict.fromkeys(missing, 0.5))
        raise UserError(f"{whose} needs {' and '.join(missing)}: --{flag} '{example}', with values of yours")
    made = {name: _part(flag, name, value) for name, value in arguments.items()}
    with _said_in_one_line(f"{whose} with {json.dumps(arguments, default=str)} cannot be built"):
        return cls(**ours, **made)


def _part(flag: str, name: str, value: Any) -> Any:
    """The object that a name, or {name: {arguments}}, stands for; other values as they are."""
    if name not in PARTS or isinstance(value, nn.Module) or value is None:
        return value
    if isinstance(value, Mapping) and len(value) == 1:
        ((own, arguments),) = value.items()
    else:
        own, arguments = value, {}
    module = part_of_library(PARTS[name])
    classes = sorted(key for key, item in vars(module).items() if inspect.isclass(item))
    if own not in classes:
        there = ", ".join(nearest_first(str(own), classes))
        raise UserError(f"--{flag}: {name} must be one of {there}, or {{name: {{arguments}}}}; got {value!r}")
    return build_of_library(getattr(module, own), flag, arguments, {})


class _said_in_one_line:
    """Errors of the library as a ``UserError`` of one line that begins with ``what``."""

    def __init__(self, what: str):
        self.what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, UserError):
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{self.what}: {said}") from error


def try_step(whose: str, step: Callable[[Tensor, Tensor], Tensor], size: int) -> None:
    """One step on a small batch on the CPU, of three classes in pairs, so that what cannot train is refused at start.

    Args:
        whose: of what, for the message.
        step: (6, size) embeddings that need gradients and (6,) labels → what must be a scalar with gradients.
        size: D.

    Raises:
        UserError: what went wrong, in one line.
    """
    quiet, said = warnings.catch_warnings(), _said_in_one_line(f"{whose} cannot train here")
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), quiet, said:
        warnings.simplefilter("ignore")  # the library uses what torch will drop one day
        generator = torch.Generator().manual_seed(0)
        rows = torch.randn(6, size, generator=generator).requires_grad_()
        value = step(rows, torch.arange(6) // 2)
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise UserError(f"{whose} cannot train here: it gives no single number per batch")
        value.sum().backward()


class LibraryMiner(nn.Module):
    """A miner of the library, for losses of the library alone: it looks at the embeddings themselves.

    Args:
        name: ``pml/CLASS``.
        miner_args: its arguments, or JSON of them.

    Raises:
        UnknownNameError, UserError: see ``class_of_library`` and ``build_of_library``.
    """

    gives = "indices"

    def __init__(self, *, name: str, miner_args: str | Mapping[str, Any] = "{}"):
        super().__init__()
        self.miner = build_of_library(class_of_library("miner", name, NO_MINERS), "miner-args", miner_args, {})

    def forward(self, rows: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """(B, D) embeddings and (B,) labels → the library's tuple of three or four index tensors."""
        return self.miner(rows.detach(), labels)


class LibraryMinerSpec(MinerSpec):
    """How a miner of the library is described."""

    def by_flag(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """They are those of the library's class, which checks them."""
        return {"miner-args": dict(arguments)}


@cache
def library_miner(name: str) -> MinerSpec:
    """The description of ``pml/CLASS``. UnknownNameError or UserError: see ``class_of_library``."""
    class_of_library("miner", name, NO_MINERS)

    def build(*, miner_args: str | Mapping[str, Any] = "{}") -> LibraryMiner:
        return LibraryMiner(name=name, miner_args=miner_args)

    build.gives = LibraryMiner.gives
    options = {"miner-args": Option("miner_args", ARGUMENTS_HELP % '"margin": 0.2')}
    return LibraryMinerSpec(name=name, build=build, options=options)
