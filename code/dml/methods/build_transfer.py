"""From a run's configuration to its embedding transfer."""

from __future__ import annotations

import torch

from dml.config import TrainConfig
from dml.data import ImageRecords
from dml.losses import create_loss
from dml.losses.transfer import TRANSFER_LOSSES, TransferSizes, create_transfer_loss
from dml.methods.build_sampler import create_sampler
from dml.methods.source import SourceNetwork, match_stages
from dml.methods.transfer import TransferMethod
from dml.models import EmbeddingNet

PROXY_ANCHOR = "proxy_anchor"


def transfer(config: TrainConfig, model: EmbeddingNet, source: EmbeddingNet, train: ImageRecords) -> TransferMethod:
    """The method of ``code/train_target.py``: the configured loss between the target ``model`` and ``source``.

    Raises:
        UserError: settings that do not fit the training set, or networks without feature maps of one size for a
            loss that compares them.
    """
    name = config.loss.loss
    spec = TRANSFER_LOSSES[name]
    side = config.data.crop_size
    stages = match_stages(model.backbone, source.backbone, side) if spec.needs == "maps" else ()
    sizes = TransferSizes(
        target_features=model.num_features,
        source_features=source.num_features,
        target_channels=tuple(model.backbone.stage_channels[stage] for stage, _ in stages),
        source_channels=tuple(source.backbone.stage_channels[stage] for _, stage in stages),
        labels=torch.from_numpy(train.labels),
    )
    proxy_anchor = None
    if spec.with_proxy_anchor:
        proxy_anchor = create_loss(
            PROXY_ANCHOR, num_classes=train.num_classes, embedding_size=config.model.embedding_size
        )
    scale = config.optim.proxy_lr_scale
    return TransferMethod(
        model=model,
        source=SourceNetwork(source, images_of=model.input_spec),
        criterion=create_transfer_loss(name, sizes=sizes, options=config.loss.options),
        sampler=create_sampler(config, train.labels),
        stages=stages,
        proxy_anchor=proxy_anchor,
        proxy_lr_scale=1.0 if scale is None else scale,  # None: of a loss without proxies
        num_views=config.transfer.view,
        warm=config.optim.warm,
    )
