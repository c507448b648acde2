"""The machinery of command lines: flags made from the fields of ``dml.config`` and from the options of losses.

Every flag has a spelling with dashes and one with underscores, prefixes are not completed, and the last of a
repeated flag counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import re
import sys
import typing
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn, Protocol

from dml.config import ConfigWarning, TrainConfig, train_config_from_json
from dml.data import DATASETS
from dml.models.arch_name import parse_arch
from dml.options import Option
from dml.recipes import AUGMENTATION_DEFAULTS, DATASET_DEFAULTS, Recipe
from dml.registry import Registry

TV_SPLIT_SHARE = 0.8
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


def parse_bool(text: str) -> bool:
    """1/true/yes/on or 0/false/no/off, in any case. NOTE: the published parser read the text False as true."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither {'/'.join(TRUE)} nor {'/'.join(FALSE)}")


class Parser(argparse.ArgumentParser):
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
        if "--" in arguments:
            word = ([*arguments, "FLAG"])[list(arguments).index("--") + 1]
            self.error(f"a lone -- before {word!r}: write --{word}, without the blank")
        namespace, unknown = self.parse_known_args(arguments)
        if unknown:
            flag = unknown[0].split("=")[0]
            close = difflib.get_close_matches(flag, self._option_string_actions, n=1, cutoff=0.6)
            self.error(f"unknown argument {flag}" + (f" (did you mean {close[0]}?)" if close else ""))
        return vars(namespace)


def spellings_of(*names: str) -> list[str]:
    """``--batch-size --batch_size …`` for the given names, each once."""
    flags = [f"--{name.replace('_', '-')}" for name in names] + [f"--{name.replace('-', '_')}" for name in names]
    return list(dict.fromkeys(flags))


def kind_of(hint: Any) -> dict[str, Any]:
    """argparse's arguments for a field's type: optional and tuple types included."""
    inner = [part for part in typing.get_args(hint) if part not in (type(None), Ellipsis)]
    if typing.get_origin(hint) is tuple:
        return {"type": inner[0], "nargs": "+"}
    kind = inner[0] if inner else hint
    if kind is bool:
        return {"type": parse_bool, "nargs": "?", "const": True, "metavar": "BOOL"}
    return {"type": kind}


def add_section(
    parser: argparse.ArgumentParser,
    section: type,
    without: Collection[str] = (),
    wording: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """A flag for each field of a section of ``dml.config``, except for the fields ``without``.

    Args:
        wording: field → its help line, where the section's own does not fit the entry point.
    """
    group = parser.add_argument_group((section.__doc__ or "").split("\n")[0].rstrip("."))
    hints = typing.get_type_hints(section)
    for item in dataclasses.fields(section):
        if item.name in without:
            continue
        choices = item.metadata["choices"]
        text = wording.get(item.name, item.metadata["help"]) + (f" ({', '.join(choices)})" if choices else "")
        kind = kind_of(hints[item.name])
        if "metavar" not in kind:
            kind["metavar"] = item.name.upper() if kind["type"] is str else kind["type"].__name__.upper()
        spellings = spellings_of(item.name, *item.metadata["aliases"])
        group.add_argument(*spellings, dest=item.name, help=text.replace("%", "%%"), **kind)


class Spec(Protocol):
    """An entry of a registry of losses or miners, as far as command lines go."""

    options: Mapping[str, Option]

    def default(self, option: str) -> Any:
        """The default of an option."""


def option_owners(registry: Registry[Spec]) -> dict[str, list[tuple[str, Spec]]]:
    """Each option that any entry has → the entries that have it, as people spell them."""
    owners: dict[str, list[tuple[str, Spec]]] = {}
    for name, spec in registry.items():
        for option in spec.options:
            owners.setdefault(option, []).append((registry.spelling(name), spec))
    return owners


def add_choice(
    parser: argparse.ArgumentParser,
    registry: Registry[Spec],
    *,
    flag: str,
    dest: str,
    default: str,
    title: str,
) -> None:
    """``flag``, which names an entry of ``registry``, and every option of every entry, as ``<dest>.<option>``."""
    group = parser.add_argument_group(title)
    names = ", ".join([*registry.aliases, *registry])
    group.add_argument(*spellings_of(flag), dest=dest, help=f"one of {names} (default {default})", metavar="NAME")
    for option, owners in option_owners(registry).items():
        first = owners[0][1]
        defaults = ", ".join(f"{name} {spec.default(option)}" for name, spec in owners)
        kind = type(first.default(option))
        group.add_argument(
            *spellings_of(option, *first.options[option].aliases),
            dest=f"{dest}.{option}",
            help=f"{first.options[option].help} ({defaults})",
            **({"metavar": kind.__name__.upper()} | kind_of(kind)),
        )


def add_losses(
    parser: argparse.ArgumentParser, losses: Registry[Spec], default_loss: str, *, flag: str = "loss"
) -> None:
    """``--loss``, or another flag that names one, and every option of every loss."""
    title = "The loss and its options"
    add_choice(parser, losses, flag=flag, dest="loss", default=default_loss, title=title)


def take_options(typed: dict[str, Any], dest: str = "loss") -> dict[str, Any]:
    """Take the options of what ``dest`` names out of what was typed: flag → value. ValueError for NaN and infinity."""
    prefix = dest + "."
    options = {name.removeprefix(prefix): typed.pop(name) for name in list(typed) if name.startswith(prefix)}
    for flag, value in options.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"--{flag} must be a finite number, got {value}")
    return options


def refuse_foreign_options(
    options: Iterable[str], spec: Spec, name: str, registry: Registry[Spec], *, chosen_by: str = "--loss"
) -> None:
    """ValueError if any of ``options`` belongs to other entries than ``spec``, which was asked for as ``name``."""
    for option in options:
        if option not in spec.options:
            owners = ", ".join(owner for owner, _ in option_owners(registry)[option])
            raise ValueError(f"--{option} is not used by {chosen_by} {name}, but by {owners}")


def add_continuing(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """``--resume-run`` and the historic flags of every training; returns their group."""
    group = parser.add_argument_group("Continuing, and historic flags")
    group.add_argument("--resume-run", "--resume_run", metavar="DIR", help="continue this run; no other flag beside it")
    group.add_argument("--log_online", "--log-online", action="store_true", help="the same as --wandb auto")
    group.add_argument("--wandb_key", "--wandb-key", help=argparse.SUPPRESS)
    group.add_argument(*spellings_of("no_train_metrics"), action="store_true", help="the same as --train-metrics 0")
    group.add_argument(
        *spellings_of("evaluate_on_gpu"), action="store_true", help="of no effect: it is where the network is"
    )
    group.add_argument(*spellings_of("evaltypes"), nargs="+", help="of no effect: a network has one embedding")
    group.add_argument(
        *spellings_of("use_tv_split"),
        help="hold out training classes for validation, as --val-split does",
        **kind_of(bool),
    )
    group.add_argument(
        *spellings_of("tv_split_perc"),
        type=float,
        metavar="FLOAT",
        help="share that --use_tv_split leaves for training (default 0.8): 1 − --val-split",
    )
    return group


def add_arch(group: argparse._ArgumentGroup) -> None:
    """``--arch``, which names a backbone and what is to be done with it."""
    group.add_argument(
        "--arch",
        metavar="NAME",
        help="--model with endings: _frozen, _normalize, _double, _he stand for --bn-freeze 1 --bn-affine 1,"
        " --l2-norm 1, --pooling avg_max, --head-init kaiming",
    )


def settle_historic(typed: dict[str, Any]) -> None:
    """Replace the historic flags by what they stand for. ValueError for a key on the command line."""
    if "wandb_key" in typed:
        raise ValueError("--wandb_key is refused, since command lines are logged: set WANDB_API_KEY instead")
    if typed.pop("log_online", False):
        typed.setdefault("wandb", "auto")
    if typed.pop("no_train_metrics", False):
        typed["train_metrics"] = False
    for without_effect in ("evaluate_on_gpu", "evaltypes"):
        typed.pop(without_effect, None)
    _settle_split(typed)


def _settle_split(typed: dict[str, Any]) -> None:
    """Replace ``--use_tv_split`` and ``--tv_split_perc`` by ``--val-split``. ValueError if they do not fit."""
    used, share = typed.pop("use_tv_split", False), typed.pop("tv_split_perc", None)
    if not used:
        if share is not None:
            raise ValueError("--tv_split_perc is used with --use_tv_split only")
        return
    if "val_split" in typed or "fold" in typed:
        raise ValueError("--use_tv_split, --val-split and --fold exclude each other")
    share = TV_SPLIT_SHARE if share is None else share
    if not 0 < share < 1:
        raise ValueError(f"--tv_split_perc is a share between 0 and 1, got {share}")
    typed["val_split"] = round(1 - share, 9)  # 0.2, not 0.19999999999999996


def fill_defaults(recipe: Recipe, typed: dict[str, Any], datasets: Registry = DATASETS) -> dict[str, Any]:
    """Field name → value: what was typed, else what the data set brings, else the recipe's."""
    if "arch" in typed:
        named = recipe.arch_without_endings | parse_arch(typed["arch"])
        typed = named | {name: value for name, value in typed.items() if name != "arch"}
    dataset = DATASET_DEFAULTS.get(datasets.canonical(typed.get("dataset", recipe.defaults["dataset"])), {})
    model = (recipe.defaults | dataset | typed)["model"]
    values = recipe.defaults | recipe.model_defaults.get(model, {})
    values |= AUGMENTATION_DEFAULTS.get(typed.get("augmentation"), {}) | dataset | typed
    values["dataset"] = datasets.canonical(values["dataset"])
    for name in ("data_dir", "log_dir", "weights"):  # a run is continued from any directory
        if values.get(name):
            values[name] = str(Path(values[name]).expanduser().absolute())
    if values.get("weights") and not Path(values["weights"]).is_file():
        raise ValueError(f"--weights: no such file: {values['weights']}")
    scheduler = values.get("scheduler", "step")
    for flag, used, reason in (
        ("augmentation", values.get("augment", True), "--augment 0"),
        ("bn_affine", values.get("bn_freeze", True), "--bn-freeze 0"),
        ("crop_scale", values.get("augmentation") != "red", "--augmentation red"),
        ("IPC", values.get("sampler") != "random", "--sampler random"),
        ("nesterov", values.get("optimizer") == "sgd", f"--optimizer {values.get('optimizer')}"),
        ("lr_decay_step", scheduler == "step", f"--scheduler {scheduler}"),
        ("lr_decay_gamma", scheduler in ("step", "multistep", "exp"), f"--scheduler {scheduler}"),
        ("milestones", scheduler == "multistep", f"--scheduler {scheduler}"),
    ):
        if flag in typed and not used:
            warnings.warn(f"{flag_of(flag)} has no effect with {reason}", ConfigWarning)
    return values


@dataclasses.dataclass(frozen=True)
class TrainCommand:
    """A parsed command line of a training.

    Attributes:
        config: the run's settings.
        resume: folder of the run to continue, or None for a new one.
    """

    config: TrainConfig
    resume: Path | None = None

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return self.resume is not None and (self.resume / "last.pt").exists()


def parse_command(
    parser: Parser, arguments: Sequence[str] | None, resolve: Callable[[dict[str, Any]], TrainConfig]
) -> TrainCommand:
    """Parse ``arguments`` (None: the process's own): a run to continue, or a new one with what ``resolve`` makes of
    the typed flags. Exits with status 2 and a message if they do not fit.
    """
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    try:
        if "resume_run" in typed:
            command = resumed(Path(typed.pop("resume_run")), typed)
            if command.config.program != parser.prog:
                raise ValueError(f"{command.resume} is a run of code/{command.config.program}: continue it with that")
            return command
        return TrainCommand(resolve(typed))
    except ValueError as error:
        parser.error(str(error))


def resumed(folder: Path, typed: dict[str, Any]) -> TrainCommand:
    """The command that continues the run in ``folder``. ValueError if there is none, or if other flags were typed."""
    if typed:
        raise ValueError(
            f"--resume-run continues with the run's own settings: leave out {', '.join(map(flag_of, typed))}"
        )
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"--resume-run {folder}: no config.json there, so it is not a run folder")
    return TrainCommand(train_config_from_json(file.read_text()), folder)


def flag_of(dest: str) -> str:
    """The spelling with dashes of a destination."""
    return "--" + dest.rpartition(".")[2].replace("_", "-")
