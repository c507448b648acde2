"""Image classification, of ``code/classify.py``."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from lightning_fabric import Fabric

from dml.cli.classify import ClassifyCommand
from dml.data.classification import classification_from_config, load_classification
from dml.data.run_split import judged_as_in_the_run
from dml.data.screening import Screening, screened, screening_for
from dml.data.unlabelled import load_named
from dml.evaluation.classification import ClassReport, top_k_accuracy, top_probabilities
from dml.evaluation.embedding import embed_records
from dml.evaluation.named_images import NamedImages
from dml.methods.base import Given
from dml.methods.batches import fit_batches
from dml.methods.build import build_method
from dml.models.classifiers import classifier_from_config
from dml.tracking import say, table
from dml.training.classification import ClassificationTask, predict_test
from dml.training.launch import launch
from dml.training.session import train
from dml.writing import naming

SHOWN = 10  # images that are said where a file has them all


def run(command: ClassifyCommand) -> Path | None:
    """Train, or evaluate a checkpoint, as ``command`` says.

    Returns:
        the run folder; None where it evaluates.

    Raises:
        UserError: settings that do not fit each other or the images.
        Interrupted: Ctrl-C or SIGTERM; the run can be continued.
    """
    config = command.config
    fabric = launch(config.run)
    if command.loaded is not None:
        (predict if command.predict else evaluate)(command, fabric)
        return None
    data = classification_from_config(
        config.data, seed=config.run.seed, run=command.resume, accept_changes=command.accept_changes
    )
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)
    model = classifier_from_config(config, data.train.class_names, continued=command.has_checkpoint)
    method = build_method(Given(config, model, data.train))
    return train(config, fabric, data, method, resume=command.resume, kind=ClassificationTask)


def evaluate(command: ClassifyCommand, fabric: Fabric) -> None:
    """Say, and write if asked to, how often a checkpoint is right on the test split."""
    loaded, file, config = command.loaded, Path(command.checkpoint), command.config
    data, notes = judged_as_in_the_run(
        load_classification(config.data.dataset, config.data.data_dir),
        config.data.data_dir,
        file,
        loaded.split,
        loaded.config.get("data"),
        recorded_names=True,
    )
    data = screened(data, config.data.data_dir, screening_for(config.data, only=("test",)))
    if notes and fabric.is_global_zero:
        say("\n".join(notes))
    predicted = predict_test(fabric.to_device(loaded.model), data, command.config, fabric)
    if not fabric.is_global_zero:
        return
    labels = data.test.labels
    metrics = top_k_accuracy(predicted, torch.from_numpy(labels))
    report = ClassReport.of(labels, predicted[:, 0].numpy(), data.test.class_names)
    say(f"{file}: {loaded.model.architecture.describe()}; epoch {loaded.epoch}")
    say(f"\n{data.name}, {len(data.test)} test images, in per cent:\n{table({file.name: metrics})}")
    say("\n".join(report.summary()))
    if command.json is not None:
        values = {f"eval/{name}": value for name, value in metrics.items()}
        with naming(command.json):
            command.json.write_text(json.dumps(values, indent=1) + "\n")
        say(f"metrics: {command.json}")
    if command.csv is not None:
        with naming(command.csv):
            command.csv.write_text(report.to_csv())
        say(f"classes: {command.csv}")


def predict(command: ClassifyCommand, fabric: Fabric) -> None:
    """Say, and write if asked to, which classes images are of, and how probable each is."""
    loaded, data = command.loaded, command.config.data
    screening = Screening(strict=data.strict, bits=data.bits)
    images = load_named(command.predict, screening).train
    model = fabric.to_device(loaded.model)
    read = top_probabilities(command.top_k)
    found = embed_records(model, images, data, fabric, progress="images", read=read)
    if not fabric.is_global_zero:
        return
    say(f"{command.checkpoint}: {loaded.model.architecture.describe()}; epoch {loaded.epoch}")
    named = NamedImages(
        images.paths, found[:, 1].long().numpy(), found[:, 0].numpy(), loaded.model.architecture.classes
    )
    for line in named.lines(None if command.csv is None else SHOWN):
        say(line)
    if command.csv is not None:
        with naming(command.csv):
            command.csv.write_text(named.to_csv(), encoding="utf-8", errors="surrogateescape")
        say(f"classes of {len(images):,} images: {command.csv}")
