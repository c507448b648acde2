"""The command line of classify.py: image classification, plain or introspective."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dml.cli.classify_historic import CIFAR, add_cutmix_flags, settle_cutmix_flags
from dml.cli.command import TrainCommand, parse_command
from dml.cli.defaults import Defaults, fill_defaults, section_layer, take_recipe
from dml.cli.layers import Layer
from dml.cli.outputs import require_writable_file
from dml.cli.parser import Parser, add_sections, spellings_of
from dml.cli.shared import add_continuing, add_recipe, settle_historic
from dml.cli.shown import recorded_layers, show_settings
from dml.cli.sizes import check_crop
from dml.cli.unused import settings_of, warn_of_unused
from dml.cli.workers import loading_processes
from dml.conditions import flag_of
from dml.config import (
    LossConfig,
    TrainConfig,
    sections_with,
    switched_on,
    train_config,
    train_config_from_json,
)
from dml.data.classification import CLASSIFICATION_DATASETS
from dml.data.depth import FULL_DEPTH
from dml.errors import UserError
from dml.methods.effective import effective
from dml.metric_names import CLASSIFICATION_METRICS
from dml.models.classifiers import (
    CLASSIFIER_BACKBONES,
    NAMED_BY_DEPTH,
    LoadedClassifier,
    classifier_backbone,
    load_classifier,
)
from dml.models.run_checkpoint import checkpoint_file
from dml.ranges import at_least
from dml.recipes import classification_milestones

PROGRAM = "classify.py"
# What settings mean here.
WORDING = {
    "dataset": f"data set: {', '.join(CLASSIFICATION_DATASETS)}",
    "data_dir": "where the data sets are; for --dataset folder the images themselves or a CSV",
    "val_split": "share of each class's training images held out for validation",
    "model": f"network: {', '.join([*CLASSIFIER_BACKBONES, *NAMED_BY_DEPTH])}",
    "milestones": "epochs after which the multistep schedule decays; unset: half and three quarters of --epochs, but on"
    " imagenet every 30, or every 75 of 300",
    "select": "choose the best epoch on the test split, as published, or on held-out images; unset: those if there are",
    "select_metric": f"metric that is highest at the best epoch: {' or '.join(CLASSIFICATION_METRICS)}",
    "pictures": "draw curves and the confusion of the classes at the end",
}
# What can be said of an evaluation; the rest is the checkpoint's.
OF_EVALUATION = (
    *("dataset", "data_dir", "strict", "bits"),
    *("batch_size", "workers", "resize", "crop_size", "pillow", "gpu_id", "precision"),
)

OF_PREDICTION = tuple(name for name in OF_EVALUATION if name not in ("dataset", "data_dir"))
SPLIT_IS_FIXED = (
    "--split belongs to training an embedding: here every class trains, and a fifth of each one's images tests; folders"
    " train/ and test/, or a CSV path,label,split, say otherwise"
)
TOP_K = 5  # classes that --predict names of an image


@dataclass(frozen=True)
class ClassifyCommand(TrainCommand):
    """A parsed command line of ``code/classify.py``.

    Attributes:
        loaded: the network of a checkpoint to evaluate, or to name images by, instead of a training.
        checkpoint: the file that it was read from.
        predict: images, and folders of images, to name; empty: evaluate.
        top_k: how many classes an image is given.
        json: file for the metrics of an evaluation.
        csv: file for its accuracy of each class, or for the classes of the images.
    """

    loaded: LoadedClassifier | None = None
    checkpoint: Path | None = None
    predict: tuple[str, ...] = ()
    top_k: int = TOP_K
    json: Path | None = None
    csv: Path | None = None


def classify_parser() -> Parser:
    """The parser of ``code/classify.py``."""
    parser = Parser(
        prog=PROGRAM,
        description="Train an image classifier, plain or with the introspective metric, and evaluate it.",
        epilog="Defaults are those of the published tables (CutMix's code); the first lines of a run name them.",
        layers=classify_layers,
    )
    add_recipe(parser, PROGRAM)
    add_sections(parser, WORDING)
    add_continuing(parser)
    cutmix = "Flags of CutMix's code; with --introspective added, the introspective paper's commands run as printed"
    add_cutmix_flags(parser, cutmix)
    parser.add_argument("--split", help=argparse.SUPPRESS)  # of train.py; refused with a word
    group = parser.topic("evaluate", "Using a checkpoint")
    group.add_argument(
        "--evaluate", "--ckpt", metavar="FILE", help="evaluate this checkpoint or run instead of training"
    )
    group.add_argument("--json", metavar="FILE", help="write the metrics of --evaluate to this file")
    group.add_argument(
        "--predict",
        nargs="+",
        metavar="FILE|DIR",
        help="name these images, and those below these folders, by the classes of --ckpt FILE, instead of training",
    )
    group.add_argument(
        *spellings_of("top_k"),
        type=int,
        metavar="INT",
        help=f"of --predict: how many classes to name of an image, with their probabilities (default {TOP_K})",
    )
    group.add_argument(
        "--csv", metavar="FILE", help="write the classes of --predict, or the accuracy of each class, to this file"
    )
    parser.declare("top_k", within=at_least(1))
    return parser


def parse_classify(arguments: Sequence[str] | None = None) -> ClassifyCommand:
    """Parse the command line of ``code/classify.py``; exits with status 2 and a message if it does not fit."""
    parser = classify_parser()
    arguments = sys.argv[1:] if arguments is None else arguments
    typed = parser.parse_typed(arguments)
    if "evaluate" not in typed and "predict" not in typed:
        command = parse_command(parser, arguments, resolve_classify)
        return ClassifyCommand(**vars(command))
    try:
        shows = typed.pop("print_config", False)
        command = _with_checkpoint(dict(typed))
        warn_of_unused(parser, typed, typed | settings_of(command.config), arguments)
        if shows:
            show_settings(parser, command.config, recorded_layers(command.loaded.config, typed))
        return command
    except (UserError, OSError) as error:
        parser.error(str(error))


def resolve_classify(typed: dict[str, Any]) -> TrainConfig:
    """Fill what was typed with the defaults of the data set's recipe.

    Raises:
        UserError: unknown names, values that do not fit, flags that the settings do not use.
    """
    typed, defaults = _asked(typed)
    values, dataset = defaults.values, defaults.values["dataset"]
    classifier_backbone(values["model"])  # before any data are read
    if values["scheduler"] == "multistep":
        values.setdefault("milestones", classification_milestones(dataset, values["epochs"]))
    if dataset in CIFAR and values.get("mix") == "cutmix":
        values.setdefault("mix_probability", 0.5)  # as published; 1 on ImageNet
    if values.get("introspective", False):
        # NOTE: the published code does not warm up. Without, a rate too high for the first steps ends in calling
        # every image uncertain, at which the introspective logits have no gradient (docs/classification.md).
        values.setdefault("lr_warmup", 1.0)
    loss = LossConfig(_loss_name(values))
    return effective(train_config(defaults.recipe, loss, values, *switched_on(PROGRAM, typed)))


def classify_layers(typed: dict[str, Any]) -> list[Layer]:
    """The defaults that ``resolve_classify`` fills in, and what was typed; raises as it does for unknown names."""
    return [section_layer(PROGRAM), *_asked(typed)[1].layers]


def _asked(typed: dict[str, Any]) -> tuple[dict[str, Any], Defaults]:
    """The settings that were typed, historic flags settled; the defaults of the rest."""
    typed = dict(typed)
    settle_historic(typed)
    recipe = take_recipe(typed, PROGRAM)
    if "json" in typed:
        raise UserError("--json belongs to --evaluate FILE; a training's metrics are in its metrics.jsonl")
    if "split" in typed:
        raise UserError(SPLIT_IS_FIXED)
    if "csv" in typed:
        raise UserError("--csv belongs to --predict and --evaluate; a training leaves classes.csv in its folder")
    if "top_k" in typed:
        raise UserError("--top-k belongs to --predict FILE|DIR --ckpt FILE")
    dataset = CLASSIFICATION_DATASETS.canonical(typed.get("dataset", "cifar10"))
    settle_cutmix_flags(typed, is_cifar=dataset in CIFAR)
    recipe = recipe or _recipe(dataset, typed.get("model"))
    return typed, fill_defaults(recipe, typed, CLASSIFICATION_DATASETS)


def _recipe(dataset: str, model: str | None) -> str:
    if dataset not in CIFAR:
        return "classification"
    return "classification_cifar" if model is None or model.startswith("pyramidnet") else "classification_cifar_resnet"


def _loss_name(values: dict[str, Any]) -> str:
    """For the run's name and first line, such as ``introspective_cross_entropy_cutmix``."""
    mix = values.get("mix", "none")
    return "introspective_" * values.get("introspective", False) + "cross_entropy" + f"_{mix}" * (mix != "none")


def _with_checkpoint(typed: dict[str, Any]) -> ClassifyCommand:
    """To evaluate a checkpoint or to name images by it: its own configuration with what was typed in place of it.

    Raises:
        CheckpointError: no checkpoint of this entry point.
        UserError: flags that are not used, or none that names the checkpoint.
    """
    predict = tuple(typed.pop("predict", ()))
    if "evaluate" not in typed:
        raise UserError("--predict needs a trained classifier: --ckpt FILE, or the folder of its run")
    file = checkpoint_file(typed.pop("evaluate"), flag="--ckpt" if predict else "--evaluate")
    if not predict and "top_k" in typed:
        raise UserError("--top-k belongs to --predict FILE|DIR: an evaluation counts the first and the first 5")
    top_k, outputs = typed.pop("top_k", TOP_K), {}
    for name in ("csv",) if predict else ("csv", "json"):
        if name in typed:
            outputs[name] = Path(typed.pop(name))
            require_writable_file(outputs[name], flag=flag_of(name))
    for name in typed:
        if name not in (OF_PREDICTION if predict else OF_EVALUATION):
            raise UserError(f"{flag_of(name)} has no part in {'--predict' if predict else '--evaluate'}: leave it out")
    loaded = load_classifier(file)
    try:
        run = train_config_from_json(json.dumps(loaded.config))
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    values = {
        name: value for part in sections_with("classification") for name, value in vars(getattr(run, part)).items()
    }
    values["val_split"] = None  # of no concern to the test split
    if run.data.dataset == "folder" and "bits" not in loaded.config["data"]:
        values["bits"] = FULL_DEPTH  # a run of before they were looked for
    if "dataset" in typed:
        typed["dataset"] = CLASSIFICATION_DATASETS.canonical(typed["dataset"])
        if typed["dataset"] != run.data.dataset:
            del values["data_dir"], values["bits"]
    workers = loading_processes((values | typed)["workers"], is_typed="workers" in typed)
    config = train_config(run.recipe, run.loss, values | typed | {"workers": workers}, "classification")
    network = type(loaded.model.backbone)
    check_crop(config.model.model, network, crop_size=config.data.crop_size, resize=config.data.resize)
    return ClassifyCommand(config, loaded=loaded, checkpoint=file, predict=predict, top_k=top_k, **outputs)
