"""A training on labelled images, of ``code/train.py``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from dml.cli.command import TrainCommand
from dml.cli.kept_defaults import warn_of_short_training
from dml.data import data_from_config
from dml.evaluation.embedding import embed_records
from dml.methods.base import Given
from dml.methods.batches import fit_batches
from dml.methods.build import build_method
from dml.methods.length import fit_to_size
from dml.models import EmbeddingNet, model_from_config
from dml.tracking import say
from dml.training.launch import launch
from dml.training.run_folder import keep_as_source
from dml.training.session import train


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
    if fabric.is_global_zero:
        for line in command.remarks:
            say(line)
    data = data_from_config(
        config.data,
        seed=config.run.seed,
        noise=config.noise,
        run=command.resume,
        accept_changes=command.accept_changes,
    )
    fitted = fit_to_size(config, data.train.labels, is_new=command.resume is None, typed=command.typed)
    if fitted.optim.epochs != config.optim.epochs:  # fewer than was known when the command line was read
        warn_of_short_training(fitted.optim, command.typed)
    config = fitted
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)
    model = model_from_config(
        config.model,
        introspective=config.introspective,
        image_size=config.data.crop_size,
        finetuning=config.finetuning,
        continued=command.has_checkpoint,
    )

    def embed_training_set(network: EmbeddingNet) -> Tensor:
        return embed_records(network, data.train, config.embedding, fabric, progress="features")

    method = build_method(Given(config, model, data.train, embed_training_set))
    folder = train(config, fabric, data, method, resume=command.resume)
    if config.run.as_source and config.run.save and fabric.is_global_zero:
        say(f"source network: {keep_as_source(config, folder)}")
    return folder
