"""From what was typed to a training: the published defaults, a new run or one to continue."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dml.cli.kept_defaults import warn_of_kept_defaults
from dml.cli.parser import Parser, flag_of
from dml.cli.sizes import check_sizes
from dml.cli.start import check_start
from dml.cli.workers import loading_processes
from dml.config import ConfigWarning, DataConfig, TrainConfig, default_data_name, train_config_from_json
from dml.data import DATASETS
from dml.methods.effective import effective
from dml.models.arch_name import parse_arch
from dml.models.backbones import BACKBONES
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
    """

    config: TrainConfig
    resume: Path | None = None
    accept_changes: bool = False

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
        accept_changes = typed.pop("accept_changes", None)
        if "resume_run" in typed:
            command = replace(resumed(Path(typed.pop("resume_run")), typed), accept_changes=bool(accept_changes))
            if command.config.program != parser.prog:
                raise ValueError(f"{command.resume} is a run of code/{command.config.program}: continue it with that")
            return command
        if accept_changes is not None:
            raise ValueError("--accept-changes goes beside --resume-run DIR: a new run takes the images as they are")
        config = resolve(typed)
        check_sizes(config)
        check_start(config)
        return TrainCommand(config)
    except ValueError as error:
        parser.error(str(error))


def resumed(folder: Path, typed: dict[str, Any]) -> TrainCommand:
    """The command that continues the run in ``folder``, with what of ``MOVABLE`` was typed in place of its own.

    Raises:
        ValueError: there is no run, other flags were typed, or its epochs cannot be changed.
    """
    if fixed := [flag_of(name) for name in typed if name not in MOVABLE]:
        raise ValueError(
            f"--resume-run continues with the run's own settings: leave out {', '.join(fixed)}"
            f" (only {', '.join(map(flag_of, MOVABLE))} may change)"
        )
    _make_absolute(typed)
    file = folder / "config.json"
    if not file.is_file():
        raise ValueError(f"--resume-run {folder}: no config.json there, so it is not a run folder")
    try:
        text = read_utf8(file)
    except ValueError as error:
        raise ValueError(f"--resume-run {folder}: {error}") from error
    epochs = typed.pop("epochs", None)
    config = train_config_from_json(text, typed)
    workers = loading_processes(config.data.workers, is_typed="workers" in typed)
    config = effective(replace(config, data=replace(config.data, workers=workers)))
    return TrainCommand(config if epochs is None else with_epochs(config, epochs, folder), folder)


def _make_absolute(values: dict[str, Any]) -> None:
    """Of the paths among ``values``: a run is continued from any directory. A run folder in place of a checkpoint
    becomes the checkpoint in it. CheckpointError for a folder of no run; ValueError for the home of nobody."""
    for name in ("source_ckpt", "init_from", "resume"):
        if values.get(name):
            values[name] = checkpoint_file(values[name], flag=flag_of(name))
    for name in ("data_dir", "log_dir", "weights", "source_ckpt", "init_from", "resume"):
        if values.get(name):
            values[name] = str(from_home(values[name]).absolute())


def _check_first_weights(values: dict[str, Any]) -> None:
    """Where the first weights come from, as far as this can be told without a network: one place. ValueError."""
    weights, start = values.get("weights"), values.get("init_from")
    if weights and start:
        raise ValueError("--init-from brings weights, and so does --weights: leave out one of them")
    if weights and not Path(weights).is_file():
        hint = "; --init-from takes the folder of a run" if Path(weights).is_dir() else ""
        raise ValueError(f"--weights: no such file: {weights}{hint}")
    if start and not Path(start).is_file():
        raise ValueError(f"--init-from: no such file: {start}")


def fill_defaults(recipe: Recipe, typed: dict[str, Any], datasets: Registry = DATASETS) -> dict[str, Any]:
    """Field name → value: what was typed, else what the data set brings, else the recipe's."""
    if "arch" in typed:
        named = recipe.arch_without_endings | parse_arch(typed["arch"])
        typed = named | {name: value for name, value in typed.items() if name != "arch"}
    dataset = DATASET_DEFAULTS.get(datasets.canonical(typed.get("dataset", recipe.defaults["dataset"])), {})
    model = (recipe.defaults | dataset | typed)["model"]
    model = BACKBONES.aliases.get(model, model)  # defaults go by the name, not by its other spellings
    defaults = recipe.defaults | recipe.model_defaults.get(model, {})
    defaults |= AUGMENTATION_DEFAULTS.get(typed.get("augmentation"), {}) | dataset
    warn_of_kept_defaults(defaults, typed)
    values = defaults | typed
    values |= {"model": model, "dataset": datasets.canonical(values["dataset"])}
    values["workers"] = loading_processes(values.get("workers", DataConfig.workers), is_typed="workers" in typed)
    _make_absolute(values)
    values.setdefault("data_name", default_data_name(values["dataset"], values.get("data_dir", DataConfig.data_dir)))
    _check_first_weights(values)
    has_weights = bool(values.get("pretrained", True) or values.get("init_from") or values.get("resume"))
    scheduler = values.get("scheduler", "step")
    for flag, used, reason in (
        ("augmentation", values.get("augment", True), "--augment 0"),
        ("backbone_init", not has_weights, "weights to start from"),
        ("bn_affine", values.get("bn_freeze", True), "--bn-freeze 0"),
        ("bn_momentum", not values.get("bn_freeze", True), "--bn-freeze 1"),
        ("norm_convention", values.get("l2_norm", True), "--l2-norm 0"),
        ("head_init", values.get("head", "linear") == "linear", f"--head {values.get('head')}"),
        ("crop_scale", values.get("augmentation") != "red", "--augmentation red"),
        ("IPC", values.get("sampler") not in ("random", "full_random"), f"--sampler {values.get('sampler')}"),
        ("sgd_momentum", values.get("optimizer") == "sgd", f"--optimizer {values.get('optimizer')}"),
        ("nesterov", values.get("optimizer") == "sgd", f"--optimizer {values.get('optimizer')}"),
        ("sgd_momentum", scheduler != "cyclic", "--scheduler cyclic"),
        ("head_lr", scheduler != "cyclic", "--scheduler cyclic"),
        ("proxy_lr_scale", scheduler != "cyclic", "--scheduler cyclic"),
        ("lr_decay_step", scheduler == "step", f"--scheduler {scheduler}"),
        ("lr_decay_gamma", scheduler in ("step", "multistep", "exp"), f"--scheduler {scheduler}"),
        ("milestones", scheduler == "multistep", f"--scheduler {scheduler}"),
        ("keep_copies", values["dataset"] == "folder", f"--dataset {values['dataset']}, which keeps them"),
    ):
        if flag in typed and not used:
            warnings.warn(f"{flag_of(flag)} has no effect with {reason}", ConfigWarning)
    return values
