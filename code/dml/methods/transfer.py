"""Embedding transfer: a target network learns from a frozen source network's view of the same images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dml.data.samplers import Sampler
from dml.losses import create_loss
from dml.losses.transfer import TRANSFER_LOSSES, Representation, TransferSizes, create_transfer_loss
from dml.methods.base import Given, Method, ParamGroup, backbone_groups, train_only_new
from dml.methods.batches import create_sampler
from dml.methods.source import CachedSource, SourceNetwork, StagePairs, match_stages, represent
from dml.models import EmbeddingNet
from dml.processes import gather_rows, global_mean, keep_memories_apart
from dml.structures import Batch, Progress, StepOutput

PROXY_ANCHOR = "proxy_anchor"


class TransferMethod(Method):
    """A target network, a source network and a transfer loss between what they make of a batch.

    Args:
        model: the target network.
        source: sees the same images as the target.
        criterion: ``loss(target, source, *, labels, indices)``, one of ``TRANSFER_LOSSES``.
        sampler: plans the batches.
        stages: matched stages whose maps the criterion compares; empty unless it does.
        proxy_anchor: a loss of the target's embedding and labels, added to the criterion; None without.
        proxy_lr_scale: learning rate of its parameters in multiples of the base rate.
        num_views: views of each image in a batch.
        warm: epochs in which only head, criterion and proxies train.
    """

    training_only = ("criterion.target_memory", "criterion.source_memory")
    rows_of_images = training_only

    model: EmbeddingNet

    def __init__(
        self,
        *,
        model: EmbeddingNet,
        source: SourceNetwork | CachedSource,
        criterion: nn.Module,
        sampler: Sampler,
        stages: StagePairs = (),
        proxy_anchor: nn.Module | None = None,
        proxy_lr_scale: float = 1.0,
        num_views: int = 1,
        warm: int = 0,
    ):
        super().__init__()
        self.model, self.source, self.criterion, self.proxy_anchor = model, source, criterion, proxy_anchor
        self.sampler, self.num_views, self.warm = sampler, num_views, warm
        keep_memories_apart(self)
        self.matched_stages = tuple(stages)
        self._target_stages = tuple(target for target, _ in stages)
        self._source_stages = tuple(source for _, source in stages)
        proxies = [] if proxy_anchor is None else list(proxy_anchor.parameters())
        self._groups = [
            *backbone_groups(model),
            ParamGroup("head", list(model.new_parameters()), new=True),
            ParamGroup("criterion", list(criterion.parameters()), new=True),
            ParamGroup("proxies", proxies, proxy_lr_scale, new=True),
        ]

    def param_groups(self) -> list[ParamGroup]:
        """Backbone, head, the criterion's heads or adapters, proxies."""
        return self._groups

    def networks(self) -> list[nn.Module]:
        """The target, and the source unless its embeddings are cached."""
        source = [self.source.network] if isinstance(self.source, SourceNetwork) else []
        return [*super().networks(), *source]

    def epoch_batches(self, epoch: int) -> np.ndarray:
        """The sampler's plan."""
        return self.sampler.plan(epoch)

    def start_epoch(self, progress: Progress) -> None:
        """Freeze what the warm-up leaves out, release it afterwards."""
        if self.warm:
            train_only_new(self._groups, warm_up=progress.epoch < self.warm)

    def training_step(self, batch: Batch, progress: Progress) -> StepOutput:
        """The criterion over the global batch, in float32 whatever the networks' precision."""
        pieces, seen = self.pieces, (self.model, batch.images, self._target_stages)
        source = self._gather(self.source(batch, self._source_stages, pieces=pieces), batch.num_views)
        target = self._gather(represent(*seen, pieces=pieces), batch.num_views)
        labels, indices = (gather_rows(rows, batch.num_views) for rows in (batch.labels, batch.indices))
        with torch.autocast(batch.images.device.type, enabled=False):
            transfer = self.criterion(target, source, labels=labels, indices=indices)
            if target.maps:  # of this process's rows alone
                transfer = global_mean(transfer)
            if self.proxy_anchor is None:
                return StepOutput(transfer)
            supervised = self.proxy_anchor(target.embedding, labels)
        logs = {"transfer_loss": transfer.detach(), "proxy_anchor_loss": supervised.detach()}
        return StepOutput(transfer + supervised, logs)

    @staticmethod
    def _gather(local: Representation, num_views: int) -> Representation:
        """Embeddings and features of all processes.

        Maps stay with their process: they are large, and of losses that are means over rows the mean is taken.
        """
        embedding = gather_rows(local.embedding.float(), num_views)
        features = None if local.features is None else gather_rows(local.features.float(), num_views)
        return Representation(embedding, features, local.maps)

    def move_images(self, saved: dict[str, Tensor], moved: np.ndarray) -> dict[str, Tensor]:
        """As of every method; CRD's normalisers, means over scores times the number of images, grow with that."""
        saved, name = super().move_images(saved, moved), "criterion.normalizers"
        if name in saved:
            saved[name] = saved[name] * (self.criterion.num_images / len(moved))
        return saved

    def proxies(self) -> Tensor | None:
        """(C, D) proxies of Proxy-Anchor where it takes part."""
        return None if self.proxy_anchor is None else self.proxy_anchor.proxies.detach()


def build(given: Given[EmbeddingNet]) -> TransferMethod:
    """The method of ``code/train_target.py``: the configured loss between the target ``model`` and the ``source``.

    Raises:
        UserError: settings that do not fit the training set, or networks without feature maps of one size for a
            loss that compares them.
    """
    config, model, network, train = given.config, given.model, given.source, given.train
    name = config.loss.loss
    spec = TRANSFER_LOSSES[name]
    side = config.data.crop_size
    stages = match_stages(model.backbone, network.backbone, side) if spec.needs == "maps" else ()
    sizes = TransferSizes(
        target_features=model.num_features,
        source_features=network.num_features,
        target_channels=tuple(model.backbone.stage_channels[stage] for stage, _ in stages),
        source_channels=tuple(network.backbone.stage_channels[stage] for _, stage in stages),
        labels=torch.from_numpy(train.labels),
    )
    proxy_anchor = None
    if spec.with_proxy_anchor:
        proxy_anchor = create_loss(
            PROXY_ANCHOR, num_classes=train.num_classes, embedding_size=config.model.embedding_size
        )
    criterion = create_transfer_loss(name, sizes=sizes, options=config.loss.options)
    sampler = create_sampler(config, train.labels)
    source: SourceNetwork | CachedSource = SourceNetwork(network, images_of=model.input_spec)
    if config.transfer.cache_source:
        source = CachedSource(given.embed_training_set(network))
    scale = config.optim.proxy_lr_scale
    return TransferMethod(
        model=model,
        source=source,
        criterion=criterion,
        sampler=sampler,
        stages=stages,
        proxy_anchor=proxy_anchor,
        proxy_lr_scale=1.0 if scale is None else scale,  # None: of a loss without proxies
        num_views=config.transfer.view,
        warm=config.optim.warm,
    )
