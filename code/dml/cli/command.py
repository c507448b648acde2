"""From what was typed to a training: the published defaults, a new run or one to continue."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dml.cli.finetuning import check_finetuning
from dml.cli.kept_defaults import OF_RANDOM_WEIGHTS, warn_of_kept_defaults, warn_of_short_training
from dml.cli.network_defaults import network_defaults
from dml.cli.outputs import require_writable
from dml.cli.parser import Parser
from dml.cli.selected import check_metrics
from dml.cli.sizes import check_sizes
from dml.cli.start import check_start
from dml.cli.unused import settings_of, warn_of_unused
from dml.cli.workers import loading_processes
from dml.conditions import flag_of
from dml.config import DataConfig, TrainConfig, default_data_name, train_config_from_json
from dml.data import DATASETS
from dml.errors import UserError
from dml.methods.build_sampler import check_sampler
from dml.methods.effective import effective
from dml.models.arch_name import parse_arch
from dml.models.backbones import BACKBONES, PREFIX
from dml.models.run_checkpoint import checkpoint_file
from dml.places import from_home
from dml.recipes import AUGMENTATION_DEFAULTS, DATASET_DEFAULTS, Recipe
from dml.record import read_utf8
from dml.registry import Registry
from dml.training.extension import with_epochs

# What a continued run may have otherwise than when it began: where things are, not what is computed; and how long it
# trains, where that changes no step.
MOVABLE = ("data_dir", "source_ckpt", "workers", "gpu_id", "compile", "wandb", "wandb_pictures", "epochs")


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
    try:
        accept_changes = typed.pop("accept_changes", None)
        if "resume_run" in typed:
            command = replace(resumed(Path(typed.pop("resume_run")), typed), accept_changes=bool(accept_changes))
            if command.config.program != parser.prog:
                raise UserError(f"{command.resume} is a run of code/{command.config.program}: continue it with that")
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
        require_writable(config.run.log_dir, flag="--log-dir")
        return TrainCommand(config, typed=frozenset(typed), remarks=tuple(remark(typed, config)))
    except UserError as error:
        parser.error(str(error))


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
    _make_absolute(typed)
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


def _make_absolute(values: dict[str, Any]) -> None:
    """Of the paths among ``values``: a run is continued from any directory. A run folder in place of a checkpoint
    becomes the checkpoint in it. CheckpointError for a folder of no run; UserError for the home of nobody."""
    for name in ("source_ckpt", "init_from", "resume"):
        if values.get(name):
            values[name] = checkpoint_file(values[name], flag=flag_of(name))
    for name in ("data_dir", "log_dir", "weights", "source_ckpt", "init_from", "resume"):
        if values.get(name):
            values[name] = str(from_home(values[name]).absolute())


def _check_first_weights(values: dict[str, Any]) -> None:
    """Where the first weights come from, as far as this can be told without a network: one place. UserError."""
    weights, start = values.get("weights"), values.get("init_from")
    if weights and start:
        raise UserError("--init-from brings weights, and so does --weights: leave out one of them")
    if weights and not Path(weights).is_file():
        hint = "; --init-from takes the folder of a run" if Path(weights).is_dir() else ""
        raise UserError(f"--weights: no such file: {weights}{hint}")
    if start and not Path(start).is_file():
        raise UserError(f"--init-from: no such file: {start}")


def fill_defaults(recipe: Recipe, typed: dict[str, Any], datasets: Registry = DATASETS) -> dict[str, Any]:
    """Field name → value: what was typed, else what the data set brings, else the recipe's."""
    if "arch" in typed:
        named = recipe.arch_without_endings | parse_arch(typed["arch"])
        typed = named | {name: value for name, value in typed.items() if name != "arch"}
    dataset = DATASET_DEFAULTS.get(datasets.canonical(typed.get("dataset", recipe.defaults["dataset"])), {})
    if typed.get("pretrained") and not dataset.get("pretrained", True):
        # A rate made for random weights would undo what weights that were trained are good for.
        dataset = {name: value for name, value in dataset.items() if name not in OF_RANDOM_WEIGHTS}
    model = (recipe.defaults | dataset | typed)["model"]
    # Defaults go by the name, not by its other spellings.
    model = BACKBONES.canonical(model) if model.startswith(PREFIX) else BACKBONES.aliases.get(model, model)
    defaults = recipe.defaults | recipe.model_defaults.get(model, {})
    defaults |= AUGMENTATION_DEFAULTS.get(typed.get("augmentation"), {}) | dataset
    defaults |= network_defaults(model, defaults | typed)
    warn_of_kept_defaults(defaults, typed)
    values = defaults | typed
    values |= {"model": model, "dataset": datasets.canonical(values["dataset"])}
    values["workers"] = loading_processes(values.get("workers", DataConfig.workers), is_typed="workers" in typed)
    _make_absolute(values)
    values.setdefault("data_name", default_data_name(values["dataset"], values.get("data_dir", DataConfig.data_dir)))
    _check_first_weights(values)
    return values
