"""From what was typed to a training: the published defaults, a new run or one to continue."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dml.cli.parser import Parser, flag_of
from dml.config import ConfigWarning, TrainConfig, train_config_from_json
from dml.data import DATASETS
from dml.models.arch_name import parse_arch
from dml.recipes import AUGMENTATION_DEFAULTS, DATASET_DEFAULTS, Recipe
from dml.registry import Registry

# What a continued run may have otherwise than when it began: where things are, not what is computed.
MOVABLE = ("data_dir", "source_ckpt", "workers", "gpu_id", "wandb", "wandb_pictures")


@dataclass(frozen=True)
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
    """The command that continues the run in ``folder``, with what of ``MOVABLE`` was typed in place of its own.

    Raises:
        ValueError: there is no run, or other flags were typed.
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
    return TrainCommand(train_config_from_json(file.read_text(), typed), folder)


def _make_absolute(values: dict[str, Any]) -> None:
    """Of the paths among ``values``: a run is continued from any directory."""
    for name in ("data_dir", "log_dir", "weights", "source_ckpt"):
        if values.get(name):
            values[name] = str(Path(values[name]).expanduser().absolute())


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
    _make_absolute(values)
    if values.get("weights") and not Path(values["weights"]).is_file():
        raise ValueError(f"--weights: no such file: {values['weights']}")
    scheduler = values.get("scheduler", "step")
    for flag, used, reason in (
        ("augmentation", values.get("augment", True), "--augment 0"),
        ("backbone_init", not (values.get("pretrained", True) or values.get("resume")), "weights to start from"),
        ("bn_affine", values.get("bn_freeze", True), "--bn-freeze 0"),
        ("head_init", values.get("head", "linear") == "linear", f"--head {values.get('head')}"),
        ("crop_scale", values.get("augmentation") != "red", "--augmentation red"),
        ("IPC", values.get("sampler") not in ("random", "full_random"), f"--sampler {values.get('sampler')}"),
        ("sgd_momentum", values.get("optimizer") == "sgd", f"--optimizer {values.get('optimizer')}"),
        ("nesterov", values.get("optimizer") == "sgd", f"--optimizer {values.get('optimizer')}"),
        ("lr_decay_step", scheduler == "step", f"--scheduler {scheduler}"),
        ("lr_decay_gamma", scheduler in ("step", "multistep", "exp"), f"--scheduler {scheduler}"),
        ("milestones", scheduler == "multistep", f"--scheduler {scheduler}"),
    ):
        if flag in typed and not used:
            warnings.warn(f"{flag_of(flag)} has no effect with {reason}", ConfigWarning)
    return values
