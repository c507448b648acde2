"""The command line of train_stml.py: metric learning without labels.

A flag that the chosen method does not use is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dml.cli.choices import add_losses, refuse_foreign_options, take_options
from dml.cli.command import TrainCommand, parse_command
from dml.cli.defaults import Defaults, fill_defaults, is_own, option_layer, section_layer, take_recipe, typed_options
from dml.cli.layers import Layer
from dml.cli.parser import Parser, add_sections, kind_of, spellings_of
from dml.cli.shared import add_arch, add_continuing, settle_historic
from dml.config import ConfigWarning, LossConfig, TrainConfig, switched_on, train_config
from dml.errors import UserError
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.methods.effective import effective
from dml.recipes import RECIPES

PROGRAM = "train_stml.py"
DEFAULT_METHOD = "stml"
OWN_RECIPE = "stml_folder"
"""Of a user's own photographs."""
GOOGLENET = {"googlenet": "inception_v1"}
"""NOTE: the published ``googlenet`` is the original Inception-v1, not the batch-normalised one of torchvision."""


def stml_parser() -> Parser:
    """The parser of ``code/train_stml.py``."""
    parser = Parser(
        prog=PROGRAM,
        description="Train an embedding network on images without labels; labels only judge it.",
        epilog="Defaults are those of the publication (Self-Taught Metric Learning without Labels).",
        layers=stml_layers,
    )
    add_losses(parser, SELF_TAUGHT_LOSSES, DEFAULT_METHOD, flag="method")
    add_sections(parser)
    other = add_continuing(parser)
    add_arch(other)
    other.add_argument(*spellings_of("norm"), dest="l2_norm", help="the same as --l2-norm", **kind_of(bool))
    other.add_argument(*spellings_of("fix_lr"), dest="fix_lr", help="the same as --scheduler constant", **kind_of(bool))
    return parser


def parse_stml(arguments: Sequence[str] | None = None) -> TrainCommand:
    """Parse the command line of ``code/train_stml.py``; exits with status 2 and a message if it does not fit."""
    return parse_command(stml_parser(), arguments, resolve_stml)


def resolve_stml(typed: dict[str, Any]) -> TrainConfig:
    """Fill what was typed with the published defaults and those of the data set.

    Raises:
        UserError: unknown names, values that do not fit, flags that the method does not use.
    """
    typed, loss, defaults = _asked(typed)
    values = defaults.values
    values["model"] = GOOGLENET.get(values["model"], values["model"])
    config = effective(train_config(defaults.recipe, loss, values, *switched_on(PROGRAM, typed)))
    _check_weights(config)
    _check_sizes(config)
    return config


def stml_layers(typed: dict[str, Any]) -> list[Layer]:
    """The defaults that ``resolve_stml`` fills in, and what was typed; raises as it does for unknown names."""
    _, method, defaults = _asked(typed)
    of_method = option_layer(f"method {method.loss}", SELF_TAUGHT_LOSSES[method.loss], loss=DEFAULT_METHOD)
    return [section_layer(PROGRAM), of_method, *defaults.layers, typed_options(typed)]


def _asked(typed: dict[str, Any]) -> tuple[dict[str, Any], LossConfig, Defaults]:
    """The settings that were typed, historic flags settled; the method; the defaults of the rest."""
    typed = dict(typed)
    settle_historic(typed)
    asked = take_recipe(typed, PROGRAM)
    method = SELF_TAUGHT_LOSSES.canonical(typed.pop("loss", DEFAULT_METHOD))
    spec, options = SELF_TAUGHT_LOSSES[method], take_options(typed)
    refuse_foreign_options(options, spec, method, SELF_TAUGHT_LOSSES, chosen_by="--method")
    if typed.pop("fix_lr", False) and typed.setdefault("scheduler", "constant") != "constant":
        raise UserError(f"--fix_lr and --scheduler {typed['scheduler']} contradict each other: leave out one of them")
    chosen = [Layer(f"method {method}", {"head": spec.head})]
    if typed.get("resume") or typed.get("init_from"):
        chosen.append(Layer("weights to start from", {"teacher_init": "student"}))
    recipe = asked or (OWN_RECIPE if is_own(typed) and method == DEFAULT_METHOD else spec.recipe)
    own = {name: value for name, value in RECIPES[recipe].options.items() if name in spec.options}
    return typed, LossConfig(method, options=own | options), fill_defaults(recipe, typed, chosen=chosen)


def _check_weights(config: TrainConfig) -> None:
    """Where the first weights come from: one place. UserError."""
    model, settings = config.model, config.self_taught
    if settings.resume:
        if not Path(settings.resume).is_file():
            raise UserError(f"--resume: no such file: {settings.resume} (--resume-run DIR continues a run)")
        if model.weights or model.init_from or settings.swav:
            raise UserError("--resume brings all weights: leave out --weights, --init-from and --swav")
    if settings.swav and model.init_from:
        raise UserError("--init-from brings weights, and so does --swav: leave out one of them")
    if settings.swav and model.model != "resnet50":
        raise UserError(f"--swav: SwAV's weights are those of resnet50, not of {model.model}")
    if settings.swav and not model.pretrained:
        raise UserError("--swav asks for pretrained weights and --pretrained 0 for none: leave out one of them")


def _check_sizes(config: TrainConfig) -> None:
    """The queue must take a whole batch; views need room for their neighbours, targets for theirs. UserError."""
    sizes, rows = config.loss.options, config.data.batch_size * config.self_taught.view
    batch = f"a batch of {config.data.batch_size} images in {config.self_taught.view} views"
    if sizes.get("memory-size", rows) < rows:
        raise UserError(
            f"--memory-size {sizes['memory-size']} is smaller than {batch}: raise the one or lower the other"
        )
    if sizes.get("topk", rows) > rows:
        raise UserError(f"--topk {sizes['topk']} is larger than {batch}: lower the one or raise the other")
    if config.loss.loss == DEFAULT_METHOD and config.self_taught.num_neighbors == 1:
        warnings.warn("--num-neighbors 1 fills batches at random: no image brings its neighbours", ConfigWarning)
