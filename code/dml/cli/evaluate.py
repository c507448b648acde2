"""The command line of evaluate.py: a checkpoint and how to judge it, completed by what the checkpoint says."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dml.cli.layers import TYPED, Layer, table_of
from dml.cli.network_defaults import network_defaults
from dml.cli.outputs import require_writable_file
from dml.cli.parser import Parser, add_section
from dml.cli.shared import add_print_config
from dml.cli.sizes import check_crop
from dml.cli.unused import warn_of_unused
from dml.cli.workers import loading_processes
from dml.conditions import flag_of
from dml.config import DataConfig, EvalConfig, EvaluateConfig
from dml.data import DATASETS
from dml.data.depth import FULL_DEPTH
from dml.data.unlabelled import without_classes
from dml.errors import UserError
from dml.evaluation.evaluator import METRICS
from dml.models.backbones import BACKBONES, traits_of
from dml.models.convert import LoadedModel
from dml.models.features import network_to_judge
from dml.models.run_checkpoint import checkpoint_file
from dml.places import from_home

OUTPUTS = ("json", "save_embeddings", "gallery", "tsne", "uncertainty_gallery")
"""Flags that name a file to write."""
WITHOUT_A_RUN = {
    "dataset": None,
    "data_dir": DataConfig.data_dir,
    "unlabelled": None,
    "bits": None,
    "resize": None,
    "crop_size": None,
    "pillow": DataConfig.pillow,
    "eval_distance": EvalConfig.eval_distance,
    "keep_copies": EvalConfig.keep_copies,
    "seed": 0,
}
"""What is taken from the checkpoint's run, with what it is otherwise."""
_DEFAULTS = Layer("default", {item.name: item.default for item in dataclasses.fields(EvaluateConfig)} | WITHOUT_A_RUN)


def evaluate_parser() -> Parser:
    """The parser of ``code/evaluate.py``."""
    parser = Parser(
        prog="evaluate.py",
        description="Retrieval metrics of a checkpoint, ours or published, on the test split of a data set; of images"
        " without classes embeddings and pictures.",
        epilog="What is unset comes from the checkpoint's run; --print-config shows every setting with what set it.",
        layers=lambda typed: [_DEFAULTS],
    )
    add_section(parser, "evaluation", EvaluateConfig)
    add_print_config(parser)
    return parser


def parse_evaluate(arguments: Sequence[str] | None = None) -> EvaluateConfig:
    """Parse the command line of ``code/evaluate.py``; exits with status 2 and a message if it does not fit."""
    parser = evaluate_parser()
    typed = parser.parse_typed(sys.argv[1:] if arguments is None else arguments)
    shows = typed.pop("print_config", False)
    try:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in typed.items()}
        if values.get("dataset"):
            values["dataset"] = DATASETS.canonical(values["dataset"])
        for name in values.get("metrics", ()):
            METRICS.canonical(name)
        if values.get("model"):
            values["model"] = BACKBONES.canonical(values["model"])
        if values.get("weights") and not values.get("ckpt") and not Path(values["weights"]).is_file():
            raise UserError(f"--weights: no such file: {values['weights']}")
        if values.get("ckpt"):
            values["ckpt"] = str(checkpoint_file(values["ckpt"], flag="--ckpt"))
        workers = values.get("workers", EvaluateConfig.workers)
        config = EvaluateConfig(**values | {"workers": loading_processes(workers, is_typed="workers" in typed)})
        for name in OUTPUTS:
            if (file := getattr(config, name)) is not None:
                require_writable_file(file, flag=flag_of(name))
        if shows:
            _show(parser, config, typed)
        return config
    except UserError as error:
        parser.error(str(error))


def _show(parser: Parser, config: EvaluateConfig, typed: dict[str, Any]) -> None:
    """Print the settings, completed by the checkpoint, and end the program."""
    loaded = network_to_judge(config)
    stored = stored_settings(loaded.config or {})
    recorded = {name: stored[name] for name in WITHOUT_A_RUN if name in stored}
    layers = [_DEFAULTS, Layer("the checkpoint's run", recorded), Layer(TYPED, typed)]
    parser.finish(table_of({"evaluation": vars(complete(config, loaded))}, layers))


def complete(config: EvaluateConfig, loaded: LoadedModel) -> EvaluateConfig:
    """Fill what was not typed from the checkpoint's own run, then from the defaults.

    Raises:
        UserError: a flag contradicts the checkpoint or the images, or nothing says which data set to use.
    """
    network = loaded.architecture
    for flag, typed, found in (
        ("--model", config.model, network.backbone),
        ("--embedding-size", config.embedding_size, network.embedding_size),
    ):
        if typed is not None and typed != found:
            raise UserError(f"{flag} {typed}, but {config.judged} holds {network.describe()}")
    stored = stored_settings(loaded.config or {})
    if loaded.split is not None and (loaded.config or {}).get("self_taught"):
        stored["unlabelled"] = not loaded.split.test_classes
    if stored.get("dataset") != "folder":  # copies count in named data sets, which says nothing of a user's own
        stored.pop("keep_copies", None)
    if config.dataset is not None and config.dataset != stored.get("dataset"):
        stored.pop("data_dir", None)
    if config.data_dir is not None or "data_dir" not in stored:  # other images than those of the run
        stored.pop("unlabelled", None)
    filled = {
        name: stored.get(name, default) if getattr(config, name) is None else getattr(config, name)
        for name, default in WITHOUT_A_RUN.items()
    }
    if filled["dataset"] is None:
        raise UserError(f"{config.judged} does not say which data set it was trained on: add --dataset NAME")
    if filled["dataset"] != "folder":
        for flag, value in (("--new-classes", config.new_classes), ("--bits", config.bits is not None)):
            if value:
                raise UserError(f"{flag} is for --dataset folder, not for {filled['dataset']}")
        filled["bits"] = None
    traits = traits_of(network.backbone)
    if filled["resize"] is None:
        own = network_defaults(network.backbone, filled)
        filled["resize"] = own.get("resize", DataConfig.resize)
    check_crop(network.backbone, traits, crop_size=filled["crop_size"], resize=filled["resize"])
    folder = from_home(filled["data_dir"])
    filled["unlabelled"] = without_classes(filled["dataset"], folder, filled["unlabelled"])
    if config.metrics is None and not filled["unlabelled"]:
        # Those of the run, and those that every network can be compared by.
        filled["metrics"] = tuple(dict.fromkeys([*stored.get("metrics", ()), *EvalConfig.metrics]))
    completed = replace(config, **filled)
    typed = [item.name for item in dataclasses.fields(config) if getattr(config, item.name) != item.default]
    warn_of_unused(evaluate_parser(), typed, vars(completed))
    return completed


def stored_settings(run: dict[str, Any]) -> dict[str, Any]:
    """The settings of a checkpoint's run that evaluation shares, name → value; ``run`` is empty if published."""
    sections = [run.get(name) or {} for name in ("data", "evaluation", "run", "self_taught")]
    stored = {name: value for section in sections for name, value in section.items()}
    if stored.get("dataset") == "folder":
        stored.setdefault("bits", FULL_DEPTH)  # a run of before they were looked for
    if run and not run.get("self_taught"):
        stored["unlabelled"] = False  # all but train_stml.py train on classes, also with images beside their folders
    return stored
