"""A training without labels, of ``code/train_stml.py``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from dml.cli.command import TrainCommand
from dml.data import EveryImageData, RetrievalData, data_from_config
from dml.data.kept_images import with_kept_images
from dml.data.screening import screening_for
from dml.data.unlabelled import UnlabelledData, load_unlabelled
from dml.errors import UserError
from dml.evaluation.embedding import embed_records
from dml.methods.base import Given
from dml.methods.batches import fit_batches
from dml.methods.build import build_method
from dml.methods.length import fit_to_size
from dml.methods.student import create_student
from dml.models import EmbeddingNet
from dml.models.extract import background_of
from dml.training.launch import launch
from dml.training.session import train
from dml.training.task import Task
from dml.training.unlabelled import UnlabelledTask


def run(command: TrainCommand) -> Path:
    """Train as ``command`` says.

    Returns:
        the run folder.

    Raises:
        UserError: settings that do not fit each other or the images.
        Interrupted: Ctrl-C or SIGTERM; the run can be continued.
    """
    config = command.config
    fabric = launch(config.run)
    data, task = images_of(command)
    config = fit_to_size(config, data.train.labels, is_new=command.resume is None, typed=command.typed)
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)

    def embed_training_set(model: EmbeddingNet) -> Tensor:
        how = {"read": background_of, "whole_images": True, "progress": "neighbours"}
        return embed_records(model, data.train, config.embedding, fabric, **how)

    student = create_student(config, continued=command.has_checkpoint)
    method = build_method(Given(config, student, data.train, embed_training_set))
    return train(config, fabric, data, method, resume=command.resume, kind=task)


def images_of(command: TrainCommand) -> tuple[RetrievalData | EveryImageData | UnlabelledData, type[Task] | None]:
    """The images, and by what the network is judged: by nothing where they have no classes, otherwise as they say.

    Raises:
        UserError: they have none, and are to be split.
    """
    config, settled = command.config, {"run": command.resume, "accept_changes": command.accept_changes}
    if config.self_taught.unlabelled:
        if config.data.split == "images":
            raise UserError("--split images: the images have no classes; all of them are trained on: leave it out")
        screening = screening_for(config.data, run=command.resume, anew=command.accept_changes)
        data = load_unlabelled(Path(config.data.data_dir), screening=screening, **settled)
        return with_kept_images(data, config.data), UnlabelledTask
    return data_from_config(config.data, seed=config.run.seed, **settled), None
