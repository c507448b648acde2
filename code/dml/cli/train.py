"""The command line of train.py: published spellings and whose defaults apply.

A flag that the chosen loss does not use is an error.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from dml.cli.choices import add_losses, refuse_foreign_options, take_options
from dml.cli.command import TrainCommand, parse_command
from dml.cli.defaults import Defaults, fill_defaults, is_own, option_layer, section_layer, take_recipe, typed_options
from dml.cli.kept_defaults import warn_of_kept
from dml.cli.layers import Layer
from dml.cli.miners import add_miners, take_miner
from dml.cli.parser import Parser, add_sections, kind_of, spellings_of
from dml.cli.shared import add_arch, add_continuing, settle_historic
from dml.cli.twins import remarks_on_twins
from dml.conditions import Condition, when
from dml.config import (
    OWN_SECTIONS,
    ConfigWarning,
    LossConfig,
    TrainConfig,
    switched_on,
    train_config,
)
from dml.config.switches import TRAIN as PROGRAM
from dml.config.switches import Switch
from dml.errors import UserError
from dml.losses import LOSSES, LossChoice, choose_loss
from dml.losses.spec import LossSpec
from dml.methods.criterion import check_criterion
from dml.methods.effective import effective
from dml.miners import MINERS
from dml.recipes import RECIPES

DEFAULT_LOSS = "Proxy_Anchor"
SOURCE_RECIPE = "transfer_source"
OWN_RECIPE = "folder"
"""Of a user's own photographs, whatever the loss: no publication has those."""
NO_MEMORY_TO_LEAVE_OUT = Condition(
    lambda settings: settings["memory"] or "memory-size" not in settings,
    "0 has no effect with --loss {loss}, which always has a memory",
)


def train_parser() -> Parser:
    """The parser of ``code/train.py``."""
    parser = Parser(
        prog=PROGRAM,
        description="Train an embedding network on labelled images and evaluate it on classes it has not seen.",
        epilog="Defaults are the published ones of the chosen loss; the first lines of a run name them. Here they are"
        f" those of --loss {DEFAULT_LOSS}, or of the --loss, --recipe, --model and --dataset ahead of --help.",
        layers=train_layers,
    )
    group = add_losses(parser, LOSSES, DEFAULT_LOSS)
    group.add_argument(
        *spellings_of("enableMemory", "enable_memory", "memory"),
        dest="memory",
        help="compare with a cross-batch memory: ProxyISA, MS, Contrastive (default no)",
        **kind_of(bool),
    )
    group.add_argument(
        *spellings_of("mixup"),
        help="train on a mixed batch beside each plain one (default: yes with IDML's recipe, else no)",
        **kind_of(bool),
    )
    add_miners(parser)
    add_sections(parser)
    other = add_continuing(parser)
    add_arch(other)
    other.add_argument("--not_pretrained", "--not-pretrained", action="store_true", help="the same as --pretrained 0")
    other.add_argument(
        *spellings_of("eval_metric"),
        choices=["MLRC"],
        help="the same as --select-metric map_at_r (Metric Learning Reality Check)",
    )
    parser.declare("memory", used_if=(NO_MEMORY_TO_LEAVE_OUT,))
    parser.declare("eval_metric", used_if=(when("select_metric", "map_at_r"),))
    return parser


def parse_train(arguments: Sequence[str] | None = None) -> TrainCommand:
    """Parse the command line of ``code/train.py``; exits with status 2 and a message if it does not fit."""
    return parse_command(
        train_parser(),
        arguments,
        resolve_train,
        remark=lambda typed, config: remarks_on_twins(typed, config, resolve_train),
    )


def resolve_train(typed: dict[str, Any]) -> TrainConfig:
    """Fill what was typed with the defaults of the loss's recipe and of the data set.

    Raises:
        UserError: unknown names, values that do not fit, flags that the loss does not use.
    """
    typed, choice, loss, own, defaults = _asked(typed)
    recipe, values = defaults.recipe, defaults.values
    if "select_metric" in typed and "storage_metrics" not in typed:
        values["storage_metrics"] = ()  # of the recipe, which would select
    if values.get("run_name") == "group_plus_seed":  # LSD's way of naming
        values["run_name"] = f"{values.get('group') or values['dataset']}_s{values['seed']}"
    loss = dataclasses.replace(loss, mixup=values.get("mixup", False))
    config = effective(train_config(recipe, loss, values, *own))
    _check_loss(config, choice)
    if choice.spec.needs_positives and config.data.IPC is None and values.get("sampler") is None:
        warnings.warn(
            f"--loss {config.loss.loss} learns from pairs of a class, and batches are drawn without regard to"
            " classes, as published: --IPC 5 would give every image four partners",
            ConfigWarning,
        )
    _check_source(config)
    if choice.spec.lr_option not in loss.options:
        _warn_of_kept_rate(choice.spec, RECIPES[recipe].defaults["lr"], config, typed)
    return config


def train_layers(typed: dict[str, Any]) -> list[Layer]:
    """The defaults that ``resolve_train`` fills in, and what was typed; raises as it does for unknown names."""
    asked = _asked(typed)
    spec, loss, miner, model = asked.choice.spec, asked.loss, asked.loss.miner, asked.defaults.values["model"]
    own = {"loss": DEFAULT_LOSS, "memory": False, "mixup": False}
    brought = {"miner": spec.default_miner}
    if spec.lr_scale is not None and not spec.lr_is_absolute:
        brought["proxy_lr_scale"] = spec.lr_scale
    return [
        section_layer(PROGRAM),
        Layer("default", own),
        option_layer(f"loss {loss.loss}", spec, **brought),
        *([] if miner is None else [option_layer(f"miner {miner}", MINERS[miner])]),
        Layer(f"model {model}", spec.defaults_by_model.get(model, {})),
        *asked.defaults.layers,
        typed_options(typed),
        Layer(f"miner {miner}", spec.fixed_by_miner.get(miner, {})),
    ]


class _Asked(NamedTuple):
    """What a command line asks for: the settings typed, historic flags settled, the loss, the sections that are on."""

    typed: dict[str, Any]
    choice: LossChoice
    loss: LossConfig
    own: list[str]
    defaults: Defaults


def _asked(typed: dict[str, Any]) -> _Asked:
    typed = dict(typed)
    settle_historic(typed)
    asked_recipe = take_recipe(typed, PROGRAM)
    if typed.pop("eval_metric", None):
        typed.setdefault("select_metric", "map_at_r")
    if typed.pop("not_pretrained", False):
        typed["pretrained"] = False
    choice, loss = _take_loss(typed)
    own = switched_on(PROGRAM, typed | {"loss": loss.loss, "distilled": choice.distilled})
    recipe = choice.recipe
    for switch in (OWN_SECTIONS[name].switch for name in own):
        _check_fit(switch, loss.loss, choice)
        recipe = switch.recipes.get(recipe, recipe)
    if is_own(typed):
        recipe = OWN_RECIPE
    if typed.get("as_source"):
        recipe = SOURCE_RECIPE
    recipe = asked_recipe or recipe
    if recipe == "lsd" and typed.get("scheduler") == "step" and "lr_decay_step" not in typed:
        typed["scheduler"] = "multistep"  # what LSD's repository means by it: --tau holds the milestones
    chosen = []
    if recipe == OWN_RECIPE and not (choice.spec.has_proxies and choice.spec.lr_scale is not None):
        chosen.append(Layer(f"loss {loss.loss}", {"init_type": "normal"}))  # no proxies to start anywhere
    return _Asked(typed, choice, loss, own, fill_defaults(recipe, typed, chosen=chosen))


def _take_loss(typed: dict[str, Any]) -> tuple[LossChoice, LossConfig]:
    """Take the loss, its miner and the options of both out of what was typed. UserError for what they do not use."""
    name, memory = typed.pop("loss", DEFAULT_LOSS), typed.pop("memory", False)
    choice = choose_loss(name, memory=memory)
    options = take_options(typed)
    _refuse_unused(name, choice, options, typed)
    miner, of_miner = take_miner(typed, name, choice.spec)
    for flag, value in choice.spec.fixed_by_miner.get(miner, {}).items():
        if options.get(flag, value) != value:
            warnings.warn(
                f"--{flag} has no effect with --batch_mining {miner}, which sets it to {value:g}, as published",
                ConfigWarning,
            )
    return choice, LossConfig(name, memory=memory, miner=miner, options=options | of_miner)


def _refuse_unused(loss: str, choice: LossChoice, options: dict[str, Any], typed: dict[str, Any]) -> None:
    """Flags that the chosen loss does not use. UserError."""
    spec = choice.spec
    if spec.with_memory:
        for flag in options:
            if flag not in spec.options and flag in LOSSES[spec.with_memory].options:
                raise UserError(f"--{flag} is used by --loss {loss} with --enableMemory only")
    refuse_foreign_options(options, spec, loss, LOSSES)
    if spec.lr_option in options and "proxy_lr_scale" in typed:
        raise UserError(f"--proxy-lr-scale and --{spec.lr_option} set the same learning rate: leave out one of them")


def _check_fit(switch: Switch, loss: str, choice: LossChoice) -> None:
    """UserError if the loss does not go together with what ``switch`` turns on."""
    if not switch.fits(choice.spec):
        able = ", ".join(LOSSES.spelling(name) for name, spec in LOSSES.items() if switch.fits(spec))
        raise UserError(f"{switch.way} is not used by --loss {loss}, but by {able}")


def _check_source(config: TrainConfig) -> None:
    if config.run.as_source and not config.run.save:
        warnings.warn("--as-source keeps no network with --save 0", ConfigWarning)


def _warn_of_kept_rate(spec: LossSpec, own: float, config: TrainConfig, typed: dict[str, Any]) -> None:
    """Warn of a loss whose own parameters learn at a rate of theirs, which ``--lr`` does not move."""
    if not spec.lr_is_absolute or config.optim.lr == own or "lr" not in typed or "proxy_lr_scale" in typed:
        return
    warn_of_kept("lr", config.optim.lr, own, {f"--{spec.lr_option}": spec.lr_scale})


def _check_loss(config: TrainConfig, choice: LossChoice) -> None:
    """Settings of the loss against the rest. UserError, or a warning of what has no effect."""
    check_criterion(config, choice)
    if choice.spec.advice:
        warnings.warn(choice.spec.advice, ConfigWarning)
    if "memory-size" not in choice.spec.options:
        return
    size, start = (config.loss.options[flag] for flag in ("memory-size", "start-epoch"))
    if size < config.data.batch_size:
        raise UserError(
            f"--memory-size (--T) {size} is smaller than a batch, --batch-size {config.data.batch_size}:"
            " raise the one or lower the other"
        )
    if start >= config.optim.epochs:
        warnings.warn(
            f"--start-epoch {start} lies beyond the {config.optim.epochs} epochs: the memory is never used",
            ConfigWarning,
        )
