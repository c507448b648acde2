#!/usr/bin/env python3
"""Metric learning without labels: STML, and the self-supervised methods that it is compared with.

python code/main.py --dataset cub --model googlenet --embedding_size 512 --view 2 --sigma 3 --delta 1 --IPC 5
python code/main.py --method moco --dataset cub --model resnet50 --memory-size 4096
python code/main.py --resume-run logs/cub/RUN
"""

from __future__ import annotations

from torch import Tensor

from dml.cli import guarded
from dml.cli_stml import parse_stml
from dml.data import data_from_config
from dml.methods.build_self_taught import create_student, self_taught
from dml.models import EmbeddingNet
from dml.models.extract import background_of
from dml.training.embedding import embed_records
from dml.training.launch import launch
from dml.training.session import train


def main() -> None:
    command = parse_stml()
    config = command.config
    fabric = launch(gpu_id=config.run.gpu_id, precision=config.run.precision, seed=config.run.seed)
    data = data_from_config(config.data, seed=config.run.seed)

    def embed_training_set(model: EmbeddingNet) -> Tensor:
        how = {"read": background_of, "whole_images": True, "progress": "neighbours"}
        return embed_records(model, data.train, config.data, fabric, **how)

    student = create_student(config, continued=command.has_checkpoint)
    method = self_taught(config, student, len(data.train), embed_training_set)
    train(config, fabric, data, method, resume=command.resume)


if __name__ == "__main__":
    guarded(main)
