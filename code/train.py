#!/usr/bin/env python3
"""Train an embedding network on labelled images: Proxy-Anchor and its family.

python code/train.py --dataset glyphs
python code/train.py --loss Proxy_Anchor --model resnet50 --dataset cub --warm 5 --bn-freeze 1 --lr-decay-step 5
python code/train.py --resume-run logs/cub/RUN
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from torch import Tensor

from dml.cli.entry import guarded
from dml.cli.train import parse_train
from dml.data import data_from_config
from dml.methods.build import supervised
from dml.methods.build_sampler import fit_batches
from dml.models import EmbeddingNet, model_from_config
from dml.tracking import say
from dml.training.embedding import embed_records
from dml.training.launch import launch
from dml.training.session import train
from dml.training.source_file import keep_as_source


def main() -> None:
    command = parse_train()
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
    config = fit_batches(config, data.train.labels, world_size=fabric.world_size, typed=command.typed)
    model = model_from_config(config.model, introspective=config.introspective, continued=command.has_checkpoint)

    def embed_training_set(network: EmbeddingNet) -> Tensor:
        return embed_records(network, data.train, config.data, fabric, progress="features")

    method = supervised(config, model, data.train, embed_training_set)
    folder = train(config, fabric, data, method, resume=command.resume)
    if config.run.as_source and config.run.save and fabric.is_global_zero:
        say(f"source network: {keep_as_source(config, folder)}")


if __name__ == "__main__":
    guarded(main)
