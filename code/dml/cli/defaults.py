"""Whose defaults apply: layers of settings, each over the one before, what was typed over all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dml.cli.kept_defaults import OF_RANDOM_WEIGHTS, warn_of_kept_defaults
from dml.cli.layers import TYPED, Layer
from dml.cli.network_defaults import network_defaults
from dml.cli.workers import loading_processes
from dml.conditions import flag_of
from dml.config import SECTIONS, DataConfig, default_data_name, sections_of
from dml.data import DATASETS
from dml.data.screening import OWN
from dml.errors import UserError
from dml.models.arch_name import parse_arch
from dml.models.backbones import BACKBONES, PREFIX
from dml.models.run_checkpoint import checkpoint_file
from dml.options import Spec
from dml.places import from_home
from dml.recipes import AUGMENTATION_DEFAULTS, DATASET_DEFAULTS, RECIPES, starts_from_weights
from dml.registry import Registry


@dataclass(frozen=True)
class Defaults:
    """What a command line comes to before its settings are checked against each other.

    Attributes:
        recipe: name of the one that applies.
        values: setting → value; the rest have the defaults of their sections.
        layers: what they come from.
    """

    recipe: str
    values: dict[str, Any]
    layers: tuple[Layer, ...]


def fill_defaults(
    recipe: str, typed: Mapping[str, Any], datasets: Registry = DATASETS, *, chosen: Sequence[Layer] = ()
) -> Defaults:
    """What was typed, else what the data set brings, else the augmentation, else the recipe with the model, else the
    recipe.

    Args:
        recipe: its name.
        typed: setting → value.
        chosen: what other choices on the command line bring, over all but what was typed.
    """
    named = RECIPES[recipe]
    if "arch" in typed:
        of_arch = named.arch_without_endings | parse_arch(typed["arch"])
        typed = of_arch | {name: value for name, value in typed.items() if name != "arch"}
    dataset = datasets.canonical(typed.get("dataset", named.defaults["dataset"]))
    of_dataset, augmentation = DATASET_DEFAULTS.get(dataset, {}), typed.get("augmentation")
    if typed.get("pretrained") and not of_dataset.get("pretrained", True):
        # A rate made for random weights would undo what weights that were trained are good for.
        of_dataset = {name: value for name, value in of_dataset.items() if name not in OF_RANDOM_WEIGHTS}
    of_start = {} if starts_from_weights(named.defaults | of_dataset | typed) else named.from_scratch
    model = (named.defaults | of_start | of_dataset | typed)["model"]
    # Defaults go by the name, not by its other spellings.
    model = BACKBONES.canonical(model) if model.startswith(PREFIX) else BACKBONES.aliases.get(model, model)
    layers = (
        Layer(f"recipe {recipe}", named.defaults),
        Layer(f"recipe {recipe} from scratch", of_start),
        Layer(f"model {model}", named.model_defaults.get(model, {})),
        Layer(f"augmentation {augmentation}", AUGMENTATION_DEFAULTS.get(augmentation, {})),
        Layer(f"data set {dataset}", of_dataset),
    )
    before = {name: value for layer in layers for name, value in layer.values.items()}
    layers = (*layers, Layer(f"network {model}", network_defaults(model, before | typed)), *chosen)
    defaults = {name: value for layer in layers for name, value in layer.values.items()}
    warn_of_kept_defaults(defaults, typed)
    values = defaults | typed | {"model": model, "dataset": dataset}
    values["workers"] = loading_processes(values.get("workers", DataConfig.workers), is_typed="workers" in typed)
    make_absolute(values)
    values.setdefault("data_name", default_data_name(dataset, values.get("data_dir", DataConfig.data_dir)))
    _check_first_weights(values)
    return Defaults(recipe, values, (*layers, Layer(TYPED, typed)))


def is_own(typed: Mapping[str, Any]) -> bool:
    """Whether a command line is about a user's own images, of which no publication says anything."""
    return "dataset" in typed and DATASETS.canonical(typed["dataset"]) == OWN


def take_recipe(typed: dict[str, Any], program: str) -> str | None:
    """Take ``--recipe`` out of what was typed; None without.

    Raises:
        UnknownNameError: no such recipe.
        UserError: one of another entry point.
    """
    if (asked := typed.pop("recipe", None)) is None:
        return None
    name = RECIPES.canonical(asked)
    if (owner := RECIPES[name].program) != program:
        raise UserError(f"--recipe {name} is one of {owner}'s, {program} has {', '.join(recipes_of(program))}")
    return name


def recipes_of(program: str) -> list[str]:
    """Names of the recipes of an entry point."""
    return [name for name, recipe in RECIPES.items() if recipe.program == program]


def section_layer(program: str) -> Layer:
    """The defaults of the sections themselves, of those of an entry point."""
    sections = (SECTIONS | sections_of(program)).values()
    return Layer("default", {item.name: item.default for section in sections for item in dataclasses.fields(section)})


def option_layer(name: str, spec: Spec, **beside: Any) -> Layer:
    """The defaults of a loss's or a miner's options, and settings that it brings ``beside`` them."""
    return Layer(name, {option: spec.default(option) for option in spec.options} | beside)


def typed_options(typed: Mapping[str, Any]) -> Layer:
    """What was typed of the loss, its miner and the options of both."""
    chosen = ("loss", "memory", "miner")
    return Layer(TYPED, {name.rpartition(".")[2]: typed[name] for name in typed if "." in name or name in chosen})


def make_absolute(values: dict[str, Any]) -> None:
    """Of the paths among ``values``: a run is continued from any directory. A run folder in place of a checkpoint
    becomes the checkpoint in it. CheckpointError for a folder of no run; UserError for the home of nobody."""
    for name in ("source_ckpt", "init_from", "resume"):
        if values.get(name):
            values[name] = checkpoint_file(values[name], flag=flag_of(name))
    for name in ("data_dir", "log_dir", "weights", "source_ckpt", "init_from", "resume", "feature_cache"):
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
