"""From what was typed to a training: the published defaults, a new run or one to continue."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dml.cli.defaults import make_absolute
from dml.cli.finetuning import check_finetuning
from dml.cli.kept_defaults import warn_of_short_training
from dml.cli.outputs import require_writable
from dml.cli.parser import Parser
from dml.cli.selected import check_metrics
from dml.cli.shown import recorded_layers, show_settings
from dml.cli.sizes import check_sizes
from dml.cli.start import check_start
from dml.cli.unused import settings_of, warn_of_unused
from dml.cli.workers import loading_processes
from dml.conditions import flag_of
from dml.config import TrainConfig, train_config_from_json
from dml.errors import UserError
from dml.methods.batches import check_sampler
from dml.methods.effective import effective
from dml.metrics_file import read_utf8
from dml.training.extension import with_epochs

# What a continued run may have otherwise than when it began: where things are, not what is computed; and how long it
# trains, where that changes no step.
MOVABLE = (
    *("data_dir", "source_ckpt", "workers", "cache_images", "gpu_id", "compile", "wandb", "wandb_pictures"),
    *("tracker", "epochs"),
)


@dataclass(frozen=True)
class TrainCommand:
    """A parsed command line of a training.

    Attributes:
        config: the run's settings.
        resume: folder of the run to continue, or None for a new one.
        accept_changes: whether to continue it although its images have changed.
        typed: names of the settings that flags say.
        remarks: what is to be said once when the training starts, a line each.
    """

    config: TrainConfig
    resume: Path | None = None
    accept_changes: bool = False
    typed: frozenset[str] = frozenset()
    remarks: tuple[str, ...] = ()

    @property
    def has_checkpoint(self) -> bool:
        """Whether there is a checkpoint to continue from."""
        return self.resume is not None and (self.resume / "last.pt").exists()


def parse_command(
    parser: Parser,
    arguments: Sequence[str] | None,
    resolve: Callable[[dict[str, Any]], TrainConfig],
    *,
    remark: Callable[[dict[str, Any], TrainConfig], Sequence[str]] = lambda typed, config: (),
) -> TrainCommand:
    """Parse ``arguments`` (None: the process's own): a run to continue, or a new one with what ``resolve`` makes of
    the typed flags. Exits with status 2 and a message if they do not fit.

    Args:
        remark: gives the command's ``remarks`` on a new run, from what was typed and what that became.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    typed = parser.parse_typed(arguments)
    shows = typed.pop("print_config", False)
    try:
        accept_changes = typed.pop("accept_changes", None)
        if "resume_run" in typed:
            folder, changes = Path(typed.pop("resume_run")), dict(typed)
            command = replace(resumed(folder, typed), accept_changes=bool(accept_changes))
            if command.config.program != parser.prog:
                raise UserError(f"{command.resume} is a run of code/{command.config.program}: continue it with that")
            if shows:
                show_settings(parser, command.config, recorded_layers(_recorded(folder), changes))
            return command
        if accept_changes is not None:
            raise UserError("--accept-changes goes beside --resume-run DIR: a new run takes the images as they are")
        config = resolve(typed)
        warn_of_unused(parser, typed, typed | settings_of(config), arguments)
        warn_of_short_training(config.optim, typed)
        check_metrics(config)
        check_sizes(config)
        check_start(config)
        check_finetuning(config)
        if config.self_taught is None:  # whose batches are of neighbours
            check_sampler(config)
        if shows:
            show_settings(parser, config, parser.layers(typed))
        require_writable(config.run.log_dir, flag="--log-dir")
        return TrainCommand(config, typed=frozenset(typed), remarks=tuple(remark(typed, config)))
    except UserError as error:
        parser.error(str(error))


def _recorded(folder: Path) -> dict[str, Any]:
    return json.loads(read_utf8(folder / "config.json"))


def resumed(folder: Path, typed: dict[str, Any]) -> TrainCommand:
    """The command that continues the run in ``folder``, with what of ``MOVABLE`` was typed in place of its own.

    Raises:
        UserError: there is no run, other flags were typed, or its epochs cannot be changed.
    """
    if fixed := [flag_of(name) for name in typed if name not in MOVABLE]:
        raise UserError(
            f"--resume-run continues with the run's own settings: leave out {', '.join(fixed)}"
            f" (only {', '.join(map(flag_of, MOVABLE))} may change)"
        )
    make_absolute(typed)
    file = folder / "config.json"
    if not file.is_file():
        raise UserError(f"--resume-run {folder}: no config.json there, so it is not a run folder")
    epochs = typed.pop("epochs", None)
    try:
        config = train_config_from_json(read_utf8(file), typed)
        workers = loading_processes(config.data.workers, is_typed="workers" in typed)
        config = effective(replace(config, data=replace(config.data, workers=workers)))
    except UserError as error:
        raise UserError(f"--resume-run {folder}: {error}") from error
    return TrainCommand(config if epochs is None else with_epochs(config, epochs, folder), folder)
