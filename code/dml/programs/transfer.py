"""An embedding transfer, of ``code/train_target.py``."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from dml.cli.command import TrainCommand
from dml.data import data_from_config
from dml.data.run_split import warn_of_trained_classes
from dml.evaluation.embedding import embed_records
from dml.methods.base import Given
from dml.methods.batches import fit_batches
from dml.methods.build import build_method
from dml.methods.source import load_source
from dml.models import EmbeddingNet, model_from_config
from dml.tracking import say
from dml.training.launch import launch
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
    loaded = load_source(
        Path(config.transfer.source_ckpt),
        l2_norm=config.transfer.source_norm,
        backbone=config.transfer.source_model,
        embedding_size=config.transfer.source_embedding_size,
        side=config.data.crop_size,
    )
    fabric = launch(config.run)
    if fabric.is_global_zero:
        say(f"source {config.transfer.source_ckpt}: {loaded.description}")
    data = data_from_config(
        config.data, seed=config.run.seed, run=command.resume, accept_changes=command.accept_changes
    )
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)
    warn_of_trained_classes(data, "the source network", loaded.split, (loaded.config or {}).get("data"))
    model = model_from_config(
        config.model,
        image_size=config.data.crop_size,
        finetuning=config.finetuning,
        continued=command.has_checkpoint,
    )

    def embed_training_set(network: EmbeddingNet) -> Tensor:
        return embed_records(fabric.to_device(network), data.train, config.embedding, fabric, progress="source")

    method = build_method(Given(config, model, data.train, embed_training_set, source=loaded.model))
    if method.matched_stages and fabric.is_global_zero:
        pairs = ", ".join(f"{target} with {other}" for target, other in method.matched_stages)
        say(f"feature maps of one size: {pairs} of the source")
    return train(config, fabric, data, method, resume=command.resume)
