"""From a run's configuration to its loss."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from dml.config import ConfigWarning, TrainConfig
from dml.errors import UserError
from dml.losses import LossChoice, create_loss
from dml.losses.mined import MinedLoss
from dml.losses.similarity import IntrospectiveSimilarity, Similarity
from dml.miners import MINERS


def create_criterion(config: TrainConfig, choice: LossChoice, num_classes: int) -> nn.Module:
    """The configured loss, with its miner if it takes tuples of the batch.

    Raises:
        UserError: options that do not fit the loss or the miner.
    """
    spec, miner, size = choice.spec, config.loss.miner, config.model.embedding_size
    criterion = create_loss(
        choice.name,
        num_classes=num_classes,
        embedding_size=size,
        options=spec.own(config.loss.options),
        similarity=similarity_of(config),
    )
    if miner is None:
        return criterion
    of_miner = MINERS[miner].own(config.loss.options)
    return MinedLoss.with_miner(criterion, miner, embedding_size=size, options=of_miner)


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


def proxies_of(criterion: nn.Module, config: TrainConfig) -> nn.Parameter:
    """The (C, D) proxies of the criterion. UserError if it has none."""
    proxies = getattr(criterion, "proxies", None)
    if proxies is None:
        raise UserError(f"--init_type {config.optim.init_type} is not used by --loss {config.loss.loss}: no proxies")
    return proxies


def refuse_without_pairs(config: TrainConfig, choice: LossChoice) -> None:
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
