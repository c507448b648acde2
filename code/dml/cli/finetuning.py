"""What fine-tuning asks of a network and a run, before any image is read."""

from __future__ import annotations

import torch

from dml.config import TrainConfig
from dml.errors import UserError
from dml.models.backbones import create_backbone, traits_of


def check_finetuning(config: TrainConfig) -> None:
    """UserError for settings that the network, its pooling or the method cannot follow."""
    asked, name = config.finetuning, config.model.model
    if config.classification is not None:
        return
    traits = traits_of(name)
    if asked.grad_checkpointing and traits.has_batch_norm and not config.model.bn_freeze:
        raise UserError(
            f"--grad-checkpointing: {name} has batch normalisation, whose statistics would count every batch twice:"
            " add --bn-freeze 1"
        )
    if asked.drop_path or asked.frozen_blocks or asked.layer_decay is not None:
        with torch.device("meta"):
            blocks, _ = create_backbone(name, drop_path=asked.drop_path).blocks()
        if asked.frozen_blocks > len(blocks):
            raise UserError(
                f"--freeze {asked.freeze}: {name} has {len(blocks)} blocks, the stem among them;"
                " --freeze backbone takes all"
            )
    if asked.cache_features:
        _check_cache(config)


def _check_cache(config: TrainConfig) -> None:
    if config.model.pooling == "gem":
        raise UserError("--cache-features keeps pooled features, but --pooling gem learns: choose another")
    if config.loss.mixup:
        raise UserError("--cache-features keeps features, but --mixup mixes images: leave out one of them")
    if config.feature_sampling is not None:
        raise UserError(
            f"--cache-features and --data_sampler {config.data.sampler}, which embeds all images anew: leave out one"
        )
