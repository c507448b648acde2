"""From a run's configuration to its method."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dml.config import ConfigWarning, OptimConfig, TrainConfig
from dml.data import ImageRecords
from dml.errors import UserError
from dml.losses import LossChoice, choose_loss, create_loss
from dml.losses.functional import redraw_uniformly
from dml.losses.mined import MinedLoss
from dml.losses.similarity import IntrospectiveSimilarity, Similarity
from dml.methods.build_sampler import create_sampler
from dml.methods.feature_storage import FeatureStorage
from dml.methods.mixup import MixupMethod
from dml.methods.self_distillation import SelfDistillation
from dml.methods.supervised import SupervisedMethod
from dml.miners import MINERS, create_miner
from dml.models import EmbeddingNet


def supervised(
    config: TrainConfig,
    model: EmbeddingNet,
    train: ImageRecords,
    embed_training_set: Callable[[EmbeddingNet], Tensor] | None = None,
) -> SupervisedMethod:
    """The method of ``code/train.py``: the configured loss over the training classes.

    Args:
        embed_training_set: (N, D) embeddings of the training set by a network, for samplers that look at features.

    Raises:
        UserError: settings that do not fit the loss or the training set.
    """
    choice = choose_loss(config.loss.loss, memory=config.loss.memory)
    spec = choice.spec
    sampler = create_sampler(config, train.labels)
    if train.class_counts().max() < 2 and spec.learns_from_pairs:
        _refuse_without_pairs(config, choice)
    criterion = create_criterion(config, choice, train.num_classes)
    if config.optim.init_type != "normal":
        proxies = proxies_of(criterion, config)
        if config.optim.init_type == "uniform":
            redraw_uniformly(proxies)
    scale = config.optim.proxy_lr_scale
    method = MixupMethod if config.loss.mixup else SupervisedMethod
    return method(
        model=model,
        criterion=criterion,
        sampler=sampler,
        head_lr_scale=head_lr_scale(config.optim),
        proxy_lr_scale=1.0 if scale is None else scale,  # None: of a loss without parameters
        clip_proxies=spec.clip,
        decay_proxies=spec.decays,
        warm=config.optim.warm,
        distillation=self_distillation(config, model, choice),
        storage=feature_storage(config, embed_training_set, len(train)),
    )


def _refuse_without_pairs(config: TrainConfig, choice: LossChoice) -> None:
    """Say, of a training set whose classes have one image each, that the loss has nothing to learn from.

    Raises:
        UserError: nothing at all.

    Warns:
        ConfigWarning: pairs of an image with itself, or self-distillation, are left.
    """
    said = f"no training class has two images, so that --loss {config.loss.loss} has no positive pair to learn from"
    ways = "give classes of several images, or a loss of proxies such as --loss Proxy_Anchor"
    if choice.distilled:
        warnings.warn(f"{said}: self-distillation is all that trains. Way out: {ways}", ConfigWarning)
    elif not choice.spec.needs_positives or config.data.sampler != "random":
        warnings.warn(f"{said}: an image's only partner is itself, cropped otherwise. Way out: {ways}", ConfigWarning)
    else:
        raise UserError(f"{said}: {ways}")


def proxies_of(criterion: nn.Module, config: TrainConfig) -> nn.Parameter:
    """The (C, D) proxies of the criterion. UserError if it has none."""
    proxies = getattr(criterion, "proxies", None)
    if proxies is None:
        raise UserError(f"--init_type {config.optim.init_type} is not used by --loss {config.loss.loss}: no proxies")
    return proxies


def create_criterion(config: TrainConfig, choice: LossChoice, num_classes: int) -> nn.Module:
    """The configured loss, with its miner if it takes tuples of the batch.

    Raises:
        UserError: options that do not fit the loss or the miner.
    """
    spec, miner, size = choice.spec, config.loss.miner, config.model.embedding_size
    options = {flag: value for flag, value in config.loss.options.items() if flag in spec.options}
    criterion = create_loss(
        choice.name,
        num_classes=num_classes,
        embedding_size=size,
        options=options,
        similarity=similarity_of(config),
    )
    if not spec.tuples:
        return criterion
    of_miner = {flag: value for flag, value in config.loss.options.items() if flag in MINERS[miner].options}
    margin = getattr(criterion, "margin", None)
    return MinedLoss(criterion, create_miner(miner, embedding_size=size, margin=margin, options=of_miner))


def check_criterion(config: TrainConfig, choice: LossChoice) -> None:
    """UserError for options that fit no training set, however many classes it has; nothing is computed or drawn."""
    with torch.device("meta"):
        create_criterion(config, choice, num_classes=2)


def similarity_of(config: TrainConfig) -> Similarity | None:
    """The introspective metric of ``--introspective``; None of other runs: the loss's own."""
    settings = config.introspective
    if settings is None:
        return None
    return IntrospectiveSimilarity(gamma=settings.introspective_gamma, tau=settings.introspective_tau)


def head_lr_scale(optim: OptimConfig) -> float:
    """``--head-lr`` in multiples of the base rate."""
    return optim.head_lr / optim.lr


def self_distillation(config: TrainConfig, model: EmbeddingNet, choice: LossChoice) -> SelfDistillation | None:
    """What a loss with ``_lsd`` at its end adds; None of others."""
    settings = config.distillation
    if settings is None:
        return None
    return SelfDistillation(
        model,
        alpha=settings.kd_alpha,
        temperature=settings.kd_tau,
        different_class_scale=settings.kd_beta,
        student_scale=choice.spec.distilled_length,
    )


def feature_storage(
    config: TrainConfig, embed_training_set: Callable[[EmbeddingNet], Tensor] | None, num_images: int
) -> FeatureStorage | None:
    """What a sampler that looks at features is given; None for others."""
    settings = config.feature_sampling
    if settings is None:
        return None
    return FeatureStorage(
        embed_training_set,
        num_images=num_images,
        embedding_size=config.model.embedding_size,
        update=not settings.data_storage_no_update,
        recompute=settings.data_idx_full_prec,
        momentum=settings.data_mb_mom,
        rate=settings.data_mb_lr,
    )
