#!/usr/bin/env python3
"""Train an image classifier, plain or with the introspective metric, and evaluate it.

python code/classify.py --dataset cifar100 --introspective --mix cutmix
python code/classify.py --dataset folder --data-dir photos --model resnet18 --pretrained --lr 0.01 --epochs 20
python code/classify.py --resume-run logs/cifar100/RUN
python code/classify.py --evaluate logs/cifar100/RUN/best.pt
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

import json
from pathlib import Path

from lightning_fabric import Fabric

from dml.cli.classify import ClassifyCommand, parse_classify
from dml.cli.entry import guarded
from dml.data.classification import classification_from_config, load_classification
from dml.data.run_split import judged_as_in_the_run
from dml.data.screening import screened, screening_for
from dml.methods.build_sampler import fit_batches
from dml.methods.classification import classification
from dml.models.classifiers import classifier_from_config
from dml.tracking import say, table
from dml.training.classification import ClassificationTask, evaluate_classifier
from dml.training.launch import launch
from dml.training.session import train
from dml.writing import naming


def main() -> None:
    command = parse_classify()
    config = command.config
    fabric = launch(config.run)
    if command.evaluate is not None:
        evaluate(command, fabric)
        return
    data = classification_from_config(
        config.data, seed=config.run.seed, run=command.resume, accept_changes=command.accept_changes
    )
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)
    model = classifier_from_config(config, data.train.class_names, continued=command.has_checkpoint)
    method = classification(config, model, data.train)
    train(config, fabric, data, method, resume=command.resume, kind=ClassificationTask)


def evaluate(command: ClassifyCommand, fabric: Fabric) -> None:
    """Say, and write if asked to, how often a checkpoint is right on the test split."""
    loaded, file, config = command.evaluate, Path(command.checkpoint), command.config
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
    metrics = evaluate_classifier(fabric.to_device(loaded.model), data, command.config, fabric)
    if not fabric.is_global_zero:
        return
    say(f"{file}: {loaded.model.architecture.describe()}; epoch {loaded.epoch}")
    say(f"\n{data.name}, {len(data.test)} test images, in per cent:\n{table({file.name: metrics})}")
    if command.json is not None:
        values = {f"eval/{name}": value for name, value in metrics.items()}
        with naming(command.json):
            command.json.write_text(json.dumps(values, indent=1) + "\n")
        say(f"metrics: {command.json}")


if __name__ == "__main__":
    guarded(main)
