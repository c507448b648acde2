"""From a run's configuration to its method."""

from __future__ import annotations

import warnings

import numpy as np

from dml.config import ConfigWarning, OptimConfig, TrainConfig
from dml.data import ImageRecords
from dml.data.samplers import SAMPLERS, Sampler
from dml.losses import choose_loss, create_loss
from dml.losses.functional import redraw_uniformly
from dml.losses.similarity import IntrospectiveSimilarity, Similarity
from dml.methods.mixup import MixupMethod
from dml.methods.self_distillation import SelfDistillation
from dml.methods.supervised import SupervisedMethod
from dml.models import EmbeddingNet
from dml.recipes import RECIPES


def create_sampler(config: TrainConfig, labels: np.ndarray) -> Sampler:
    """The sampler of ``--sampler``, or the one that the recipe uses with and without ``--IPC``.

    Raises:
        ValueError: settings that the sampler does not have, or that the training set cannot satisfy.
    """
    data = config.data
    name = data.sampler or (RECIPES[config.recipe].ipc_sampler if data.IPC else "random")
    kind = SAMPLERS.canonical(name)
    options: dict[str, float] = {}
    if kind in ("class_balanced", "balanced"):
        if data.IPC is None:
            raise ValueError(f"--sampler {name} needs --IPC, the images per class in a batch")
        options["images_per_class"] = data.IPC
    if kind == "power_balanced":
        options["power"] = data.p
    return SAMPLERS[kind](labels, batch_size=data.batch_size, seed=config.run.seed, **options)


def supervised(config: TrainConfig, model: EmbeddingNet, train: ImageRecords) -> SupervisedMethod:
    """The method of ``code/train.py``: the configured loss over the training classes.

    Raises:
        ValueError: settings that do not fit the loss or the training set.
    """
    choice = choose_loss(config.loss.loss, memory=config.loss.memory)
    spec = choice.spec
    sampler = create_sampler(config, train.labels)
    if spec.needs_positives and config.data.IPC is None and config.data.sampler is None:
        warnings.warn(
            f"--loss {config.loss.loss} learns from pairs of a class, and batches are drawn without regard to"
            " classes, as published: --IPC 5 would give every image four partners",
            ConfigWarning,
        )
    criterion = create_loss(
        choice.name,
        num_classes=train.num_classes,
        embedding_size=config.model.embedding_size,
        options=config.loss.options,
        similarity=similarity_of(config),
    )
    if config.optim.init_type == "uniform":
        redraw_uniformly(criterion.proxies)
    scale = config.optim.proxy_lr_scale
    method = MixupMethod if config.loss.mixup else SupervisedMethod
    return method(
        model=model,
        criterion=criterion,
        sampler=sampler,
        head_lr_scale=head_lr_scale(config.optim),
        proxy_lr_scale=(spec.lr_scale or 1.0) if scale is None else scale,
        clip_proxies=spec.clip,
        warm=config.optim.warm,
        distillation=self_distillation(config, model),
    )


def similarity_of(config: TrainConfig) -> Similarity | None:
    """The introspective metric of ``--introspective``; None of other runs: the loss's own."""
    settings = config.introspective
    if settings is None:
        return None
    return IntrospectiveSimilarity(gamma=settings.introspective_gamma, tau=settings.introspective_tau)


def head_lr_scale(optim: OptimConfig) -> float:
    """``--head-lr`` in multiples of the base rate."""
    return 1.0 if optim.head_lr in (None, -1) else optim.head_lr / optim.lr


def self_distillation(config: TrainConfig, model: EmbeddingNet) -> SelfDistillation | None:
    """What a loss with ``_lsd`` at its end adds; None of others."""
    settings = config.distillation
    if settings is None:
        return None
    return SelfDistillation(
        model, alpha=settings.kd_alpha, temperature=settings.kd_tau, different_class_scale=settings.kd_beta
    )
