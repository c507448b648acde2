"""Command lines, and keyword settings in their place, as configurations and trainings."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from dml.cli.classify import classify_parser, parse_classify
from dml.cli.command import TrainCommand
from dml.cli.parser import Parser, raising
from dml.cli.stml import parse_stml, stml_parser
from dml.cli.target import parse_target, target_parser
from dml.cli.train import parse_train, train_parser
from dml.config import TrainConfig
from dml.config.train import own_name
from dml.errors import UserError


class _Program(NamedTuple):
    parser: Callable[[], Parser]
    parse: Callable[[Sequence[str]], TrainCommand]
    module: str  # imported when it runs: a command line is resolved without


PROGRAMS = {
    "train.py": _Program(train_parser, parse_train, "dml.programs.supervised"),
    "train_target.py": _Program(target_parser, parse_target, "dml.programs.transfer"),
    "train_stml.py": _Program(stml_parser, parse_stml, "dml.programs.self_taught"),
    "classify.py": _Program(classify_parser, parse_classify, "dml.programs.classification"),
}


def resolve(command: str | Sequence[str] = (), **settings: Any) -> TrainConfig:
    """Every setting of the training that a command line describes; nothing is trained, and nothing written.

    Args:
        command: a line, or its words: "python code/train_target.py --source-ckpt best.pt"; without a program's name the
            flags are those of train.py.
        settings: in place of flags, by their names with underscores: ``loss="triplet", lr=1e-4, metrics=["recall"]``.
            They win over those in ``command``; None leaves the default.

    Raises:
        UserError: unknown names, listing the right ones; values that do not fit.

    Warns:
        ConfigWarning: what has no effect.
    """
    return _parsed(command, settings)[1].config


def train(command: str | Sequence[str] = (), **settings: Any) -> Path:
    """Train as the programs do, in this process; seeds torch's, numpy's and Python's global generators.

    Several GPUs or machines take a program of their own for each process: start those by the command line.

    Args:
        command, settings: see ``resolve``.

    Returns:
        the run folder, which ``dml.load`` takes.

    Raises:
        UserError: what does not fit, or cannot be read.
        Interrupted: Ctrl-C or SIGTERM; ``train(resume_run=FOLDER)`` goes on.
    """
    program, parsed = _parsed(command, settings)
    if getattr(parsed, "loaded", None) is not None:
        raise UserError("--evaluate and --predict train nothing: python code/classify.py does that")
    return import_module(program.module).run(parsed)


def _parsed(command: str | Sequence[str], settings: dict[str, Any]) -> tuple[_Program, TrainCommand]:
    words = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
    names = [own_name(PurePath(word).name) for word in words[:2]]
    named = [place for place, name in enumerate(names) if name in PROGRAMS]
    program = PROGRAMS[names[named[0]] if named else "train.py"]
    words = words[named[0] + 1 :] if named else words
    with raising():
        return program, program.parse([*words, *_flags(settings, program.parser())])


def _flags(settings: dict[str, Any], parser: Parser) -> list[str]:
    """The words of ``settings``. UserError for a name that is no flag's, listing those that are."""
    flags = {flag.lstrip("-").replace("-", "_"): flag for flag in parser._option_string_actions if flag[:2] == "--"}
    words = []
    for name, value in settings.items():
        if name not in flags or name in ("help", "print_config"):
            close = difflib.get_close_matches(name, flags, n=1, cutoff=0.6)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UserError(f"{parser.prog} has no setting {name!r}.{hint} Valid: {', '.join(sorted(flags))}")
        if isinstance(value, list | tuple):
            words += [flags[name], *map(str, value)]
        elif value is not None:
            words.append(f"{flags[name]}={int(value) if isinstance(value, bool) else value}")
    return words
