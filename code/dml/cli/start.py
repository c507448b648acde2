"""The checkpoint that a training starts from, against the network to be trained, before any image is read."""

from __future__ import annotations

from dml.config import TrainConfig
from dml.models.start import backbone_title, read_start


def check_start(config: TrainConfig) -> None:
    """CheckpointError for an ``--init-from`` that cannot be read, or that holds another backbone."""
    if config.model.init_from is None:
        return
    stem = "imagenet" if config.classification is None else config.classification.stem
    read_start(config.model.init_from).require_backbone(backbone_title(config.model.model, stem))
