"""The command line of train_target.py: embedding transfer from a source network.

A flag that the chosen loss does not use is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from dml.cli.choices import add_losses, refuse_foreign_options, take_options
from dml.cli.command import TrainCommand, parse_command
from dml.cli.defaults import Defaults, fill_defaults, option_layer, section_layer, take_recipe, typed_options
from dml.cli.layers import Layer
from dml.cli.parser import Parser, add_sections
from dml.cli.shared import add_arch, add_continuing, settle_historic
from dml.config import ConfigWarning, LossConfig, TrainConfig, switched_on, train_config
from dml.errors import UserError
from dml.losses.transfer import TRANSFER_LOSSES, TransferLossSpec
from dml.methods.effective import effective

PROGRAM = "train_target.py"
DEFAULT_LOSS = "Relaxed_Contra"
RECIPE = "transfer_target"


def target_parser() -> Parser:
    """The parser of ``code/train_target.py``."""
    parser = Parser(
        prog=PROGRAM,
        description="Train a target network to embed images as a frozen source network relates them.",
        epilog="Defaults are those of the publication (Embedding Transfer with Label Relaxation).",
        layers=target_layers,
    )
    add_losses(parser, TRANSFER_LOSSES, DEFAULT_LOSS)
    add_sections(parser)
    add_arch(add_continuing(parser))
    return parser


def parse_target(arguments: Sequence[str] | None = None) -> TrainCommand:
    """Parse the command line of ``code/train_target.py``; exits with status 2 and a message if it does not fit."""
    return parse_command(target_parser(), arguments, resolve_target)


def resolve_target(typed: dict[str, Any]) -> TrainConfig:
    """Fill what was typed with the published defaults and those of the data set.

    Raises:
        UserError: unknown names, values that do not fit, flags that the loss does not use.
    """
    typed, loss, defaults = _asked(typed)
    spec = TRANSFER_LOSSES[loss.loss]
    config = effective(train_config(defaults.recipe, loss, defaults.values, *switched_on(PROGRAM, typed)))
    _check_rows(config, spec)
    if config.transfer.cache_source:
        _check_cache(config, spec)
    if "forced-pairs" in spec.options and config.transfer.view == 1:
        warnings.warn(
            f"--loss {loss.loss} forces pairs of views of an image: with --view 1 there are none", ConfigWarning
        )
    return config


def target_layers(typed: dict[str, Any]) -> list[Layer]:
    """The defaults that ``resolve_target`` fills in, and what was typed; raises as it does for unknown names."""
    _, loss, defaults = _asked(typed)
    of_loss = option_layer(f"loss {loss.loss}", TRANSFER_LOSSES[loss.loss], loss=DEFAULT_LOSS)
    return [section_layer(PROGRAM), of_loss, *defaults.layers, typed_options(typed)]


def _asked(typed: dict[str, Any]) -> tuple[dict[str, Any], LossConfig, Defaults]:
    """The settings that were typed, historic flags settled; the loss; the defaults of the rest."""
    typed = dict(typed)
    settle_historic(typed)
    recipe = take_recipe(typed, PROGRAM) or RECIPE
    loss, options = typed.pop("loss", DEFAULT_LOSS), take_options(typed)
    refuse_foreign_options(options, TRANSFER_LOSSES[loss], loss, TRANSFER_LOSSES)
    return typed, LossConfig(loss, options=options), fill_defaults(recipe, typed)


def _check_rows(config: TrainConfig, spec: TransferLossSpec) -> None:
    """UserError for batches that are too small for the loss."""
    images, views = config.data.batch_size, config.transfer.view
    if images * views < spec.fewest_rows:
        raise UserError(
            f"--loss {config.loss.loss} compares {spec.fewest_rows} rows of a batch or more, images × views;"
            f" --batch-size {images} with --view {views} gives {images * views}: raise --batch-size"
        )


def _check_cache(config: TrainConfig, spec: TransferLossSpec) -> None:
    """Refuse ``--cache-source`` where an embedding computed once is not the one of the step. UserError."""
    if config.data.augment:
        raise UserError("--cache-source is exact only where an image looks the same in every epoch: add --augment 0")
    if spec.needs != "embeddings":
        raise UserError(f"--cache-source keeps embeddings, but --loss {config.loss.loss} compares {spec.needs}")
