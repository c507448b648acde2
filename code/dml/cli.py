"""Command lines: flags made from the fields of ``dml.config``, published spellings and whose defaults apply.

Imported by the entry points alone. Every flag has a spelling with dashes and one with underscores, prefixes are
not completed, the last of a repeated flag counts, and a flag that the chosen loss does not use is an error.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dml.config import (
    SECTIONS,
    ConfigWarning,
    EvaluateConfig,
    LossConfig,
    TrainConfig,
    train_config,
    train_config_from_json,
)
from dml.data import DATASETS
from dml.losses import LOSSES, LossChoice, LossSpec, choose_loss
from dml.recipes import DATASET_DEFAULTS, RECIPES
from dml.training.interrupt import Interrupted

TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
DEFAULT_LOSS = "Proxy_Anchor"


def parse_bool(text: str) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case. NOTE: the published parser read the text False as true."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither {'/'.join(TRUE)} nor {'/'.join(FALSE)}")


class _Parser(argparse.ArgumentParser):
    """Without completion of prefixes; an unknown flag is answered with the nearest known one."""

    def __init__(self, **options: Any):
        options |= {"allow_abbrev": False, "argument_default": argparse.SUPPRESS, "usage": "%(prog)s [FLAGS]"}
        super().__init__(**options)

    def error(self, message: str) -> NoReturn:
        """One line, with one spelling of the flag, and exit status 2."""
        message = re.sub(r"(argument --[\w-]+)(?:/--[\w-]+)+", r"\1", message)
        self.exit(2, f"{self.prog}: error: {message} ({self.prog} --help lists all flags)\n")

    def parse_typed(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What was typed, dest → value; nothing for flags left out."""
        namespace, unknown = self.parse_known_args(arguments)
        if unknown:
            flag = unknown[0].split("=")[0]
            close = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.6)
            self.error(f"unknown argument {flag}" + (f" (did you mean {close[0]}?)" if close else ""))
        return vars(namespace)


def _spellings(*names: str) -> list[str]:
    """``--batch-size --batch_size …`` for the given names, each once."""
    flags = [f"--{name.replace('_', '-')}" for name in names] + [f"--{name.replace('-', '_')}" for name in names]
    return list(dict.fromkeys(flags))


def _kind(hint: Any) -> dict[str, Any]:
    """argparse's arguments for a field's type: optional and tuple types included."""
    inner = [part for part in typing.get_args(hint) if part not in (type(None), Ellipsis)]
    if typing.get_origin(hint) is tuple:
        return {"type": inner[0], "nargs": "+"}
    kind = inner[0] if inner else hint
    if kind is bool:
        return {"type": parse_bool, "nargs": "?", "const": True, "metavar": "BOOL"}
    return {"type": kind}


def _add_section(parser: argparse.ArgumentParser, section: type) -> None:
    group = parser.add_argument_group(" ".join((section.__doc__ or "").split("\n")[0].split()))
    hints = typing.get_type_hints(section)
    for item in dataclasses.fields(section):
        choices = item.metadata["choices"]
        text = item.metadata["help"] + (f" ({', '.join(choices)})" if choices else "")
        kind = _kind(hints[item.name])
        if "metavar" not in kind:
            kind["metavar"] = item.name.upper() if kind["type"] is str else kind["type"].__name__.upper()
        spellings = _spellings(item.name, *item.metadata["aliases"])
        group.add_argument(*spellings, dest=item.name, help=text.replace("%", "%%"), **kind)


def _loss_flags() -> Iterator[tuple[str, list[tuple[str, LossSpec]]]]:
    """Each option that any loss has, with the losses that have it."""
    flags: dict[str, list[tuple[str, LossSpec]]] = {}
    for name, spec in LOSSES.items():
        for flag in spec.options:
            flags.setdefault(flag, []).append((name, spec))
    yield from flags.items()


def _add_losses(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("The loss and its options")
    names = ", ".join([*LOSSES.aliases, *LOSSES])
    group.add_argument("--loss", help=f"one of {names} (default {DEFAULT_LOSS})", metavar="NAME")
    group.add_argument(
        *_spellings("enableMemory", "enable_memory", "memory"),
        dest="memory",
        help="compare with a cross-batch memory: ProxyISA, MS, Contrastive (default no)",
        **_kind(bool),
    )
    for flag, owners in _loss_flags():
        first = owners[0][1]
        defaults = ", ".join(f"{name} {spec.default(flag)}" for name, spec in owners)
        kind = type(first.default(flag))
        group.add_argument(
            *_spellings(flag, *first.options[flag].aliases),
            dest=f"loss.{flag}",
            type=parse_bool if kind is bool else kind,
            metavar=kind.__name__.upper(),
            help=f"{first.options[flag].help} ({defaults})",
        )


def train_parser() -> _Parser:
    """The parser of ``code/train.py``."""
    parser = _Parser(
        prog="train.py",
        description="Train an embedding network on labelled images and evaluate it on classes it has not seen.",
        epilog="Defaults are the published ones of the chosen loss; the first lines of a run name them.",
    )
    _add_losses(parser)
    for section in SECTIONS.values():
        _add_section(parser, section)
    other = parser.add_argument_group("Continuing, and historic flags")
    other.add_argument("--resume-run", "--resume_run", metavar="DIR", help="continue this run; no other flag beside it")
    other.add_argument("--log_online", "--log-online", action="store_true", help="the same as --wandb auto")
    other.add_argument(
        *_spellings("eval_metric"),
        choices=["MLRC"],
        help="the same as --select-metric map_at_r (Metric Learning Reality Check)",
    )
    other.add_argument("--wandb_key", "--wandb-key", help=argparse.SUPPRESS)
    return parser


@dataclasses.dataclass(frozen=True)
class TrainCommand:
    """A parsed command line of a training.

    Attributes:
        config: the run's settings.
        resume: folder of the run to continue, or None for a new one.
    """

    config: TrainConfig
    resume: Path | None = None


def parse_train(arguments: Sequence[str] | None = None) -> TrainCommand:
    """Parse the command line of ``code/train.py``; exits with status 2 and a message if it does not fit."""
    parser = train_parser()
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    try:
        if "resume_run" in typed:
            return _resumed(Path(typed.pop("resume_run")), typed)
        return TrainCommand(resolve_train(typed))
    except ValueError as error:
        parser.error(str(error))


def _resumed(folder: Path, typed: dict[str, Any]) -> TrainCommand:
    if typed:
        raise ValueError(
            f"--resume-run continues with the run's own settings: leave out {', '.join(map(_flag_of, typed))}"
        )
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"--resume-run {folder}: no config.json there, so it is not a run folder")
    return TrainCommand(train_config_from_json(file.read_text()), folder)


def _flag_of(dest: str) -> str:
    return "--" + dest.removeprefix("loss.").replace("_", "-")


def resolve_train(typed: dict[str, Any]) -> TrainConfig:
    """Fill what was typed with the defaults of the loss's recipe and of the data set.

    Raises:
        ValueError: unknown names, values that do not fit, flags that the loss does not use.
    """
    typed = dict(typed)
    if "wandb_key" in typed:
        raise ValueError("--wandb_key is refused, since command lines are logged: set WANDB_API_KEY instead")
    if typed.pop("log_online", False):
        typed.setdefault("wandb", "auto")
    if typed.pop("eval_metric", None):
        typed.setdefault("select_metric", "map_at_r")
    loss, memory = typed.pop("loss", DEFAULT_LOSS), typed.pop("memory", False)
    choice = choose_loss(loss, memory=memory)
    options = {dest.removeprefix("loss."): typed.pop(dest) for dest in list(typed) if dest.startswith("loss.")}
    _refuse_unused(loss, choice, options, typed)
    if "p" in typed and "IPC" not in typed and "sampler" not in typed:
        warnings.warn("--p has no effect without --IPC or --sampler power_balanced", ConfigWarning)
    recipe = RECIPES[choice.recipe]
    values = dict(recipe.defaults)
    values |= DATASET_DEFAULTS.get(DATASETS.canonical(typed.get("dataset", values["dataset"])), {})
    values |= recipe.model_defaults.get(typed.get("model", values["model"]), {})
    values |= typed
    values["dataset"] = DATASETS.canonical(values["dataset"])
    config = train_config(choice.recipe, LossConfig(loss, memory, options), values)
    _check_loss(config, choice)
    return config


def _refuse_unused(loss: str, choice: LossChoice, options: dict[str, Any], typed: dict[str, Any]) -> None:
    """Flags that the chosen loss does not use. ValueError."""
    spec = choice.spec
    for flag in options:
        if flag in spec.options:
            continue
        if spec.with_memory and flag in LOSSES[spec.with_memory].options:
            raise ValueError(f"--{flag} is used by --loss {loss} with --enableMemory only")
        owners = next(users for name, users in _loss_flags() if name == flag)
        raise ValueError(f"--{flag} is not used by --loss {loss}, but by {', '.join(name for name, _ in owners)}")
    for dest in ("proxy_lr_scale", "init_type"):
        if dest in typed and spec.lr_scale is None:
            raise ValueError(f"{_flag_of(dest)} is not used by --loss {loss}, which has no parameters")


def _check_loss(config: TrainConfig, choice: LossChoice) -> None:
    """Settings of the loss against the rest. ValueError, or a warning of what has no effect."""
    if choice.spec.advice:
        warnings.warn(choice.spec.advice, ConfigWarning)
    if "memory-size" not in choice.spec.options:
        return
    size, start = (config.loss.options.get(flag, choice.spec.default(flag)) for flag in ("memory-size", "start-epoch"))
    if size < config.data.batch_size:
        raise ValueError(
            f"--memory-size (--T) {size} is smaller than a batch, --batch-size {config.data.batch_size}:"
            " raise the one or lower the other"
        )
    if start >= config.optim.epochs:
        warnings.warn(
            f"--start-epoch {start} lies beyond the {config.optim.epochs} epochs: the memory is never used",
            ConfigWarning,
        )


def parse_evaluate(arguments: Sequence[str] | None = None) -> EvaluateConfig:
    """Parse the command line of ``code/evaluate.py``; exits with status 2 and a message if it does not fit."""
    parser = _Parser(
        prog="evaluate.py",
        description="Retrieval metrics of a checkpoint, ours or published, on the test split of a data set.",
    )
    _add_section(parser, EvaluateConfig)
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    try:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}
        if values.get("dataset"):
            values["dataset"] = DATASETS.canonical(values["dataset"])
        return EvaluateConfig(**values)
    except ValueError as error:
        parser.error(str(error))


def guarded(main: Callable[[], None]) -> NoReturn:
    """Run an entry point; a mistake of the user's ends it with one line and status 2, without a traceback.

    ``DML_TRACEBACK=1`` shows the traceback all the same.
    """
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    try:
        main()
    except Interrupted:
        raise SystemExit(130) from None
    except (ValueError, OSError) as error:
        if os.environ.get("DML_TRACEBACK") == "1":
            raise
        text = str(error) or type(error).__name__
        print(f"{Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)
