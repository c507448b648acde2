#!/usr/bin/env python3
"""Embedding transfer: train a target network to relate images as a frozen source network does.

python code/train_target.py --loss Relaxed_Contra --dataset cub --model bn_inception --embedding-size 512 --IPC 3 \
    --view 2 --source-ckpt pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth
python code/train_target.py --resume-run logs/cub/TRANSFER
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from pathlib import Path

from dml.cli.entry import guarded
from dml.cli.target import parse_target
from dml.data import data_from_config
from dml.data.run_split import warn_of_trained_classes
from dml.methods.build_sampler import fit_batches
from dml.methods.build_transfer import transfer
from dml.methods.source import CachedSource, load_source
from dml.models import model_from_config
from dml.tracking import say
from dml.training.embedding import embed_records
from dml.training.launch import launch
from dml.training.session import train


def main() -> None:
    command = parse_target()
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
    model, source = model_from_config(config.model, continued=command.has_checkpoint), loaded.model
    method = transfer(config, model, source, data.train)
    if config.transfer.cache_source:
        source = fabric.to_device(source)
        method.source = CachedSource(embed_records(source, data.train, config.data, fabric, progress="source"))
    train(config, fabric, data, method, resume=command.resume)


if __name__ == "__main__":
    guarded(main)
