#!/usr/bin/env python3
"""Train an embedding network on labelled images: Proxy-Anchor and its family.

python code/train.py --dataset glyphs
python code/train.py --loss Proxy_Anchor --model resnet50 --dataset cub --warm 5 --bn-freeze 1 --lr-decay-step 5
python code/train.py --resume-run logs/cub/RUN
"""

from __future__ import annotations

from pathlib import Path

from dml.cli import guarded, parse_train
from dml.data import load_dataset
from dml.methods.build import supervised
from dml.models import create_model
from dml.tracking import say
from dml.training.launch import launch
from dml.training.session import train
from dml.training.source_file import keep_as_source


def main() -> None:
    command = parse_train()
    config = command.config
    fabric = launch(gpu_id=config.run.gpu_id, precision=config.run.precision, seed=config.run.seed)
    data = load_dataset(
        config.data.dataset,
        config.data.data_dir,
        val_split=config.data.val_split,
        fold=config.data.fold_numbers(),
        seed=config.run.seed,
    )
    model = create_model(
        config.model.model,
        embedding_size=config.model.embedding_size,
        pretrained=config.model.pretrained,
        weights=Path(config.model.weights) if config.model.weights else None,
        l2_norm=config.model.l2_norm,
        bn_freeze=config.model.bn_freeze,
        pooling=config.model.pooling,
        head_init=config.model.head_init,
    )
    method = supervised(config, model, data.train)
    folder = train(config, fabric, data, method, resume=command.resume)
    if config.run.as_source and config.run.save and fabric.is_global_zero:
        say(f"source network: {keep_as_source(config, folder)}")


if __name__ == "__main__":
    guarded(main)
