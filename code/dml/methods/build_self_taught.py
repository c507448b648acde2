"""From a run's configuration to its training without labels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from dml.config import ConfigWarning, TrainConfig
from dml.data.samplers import RandomSampler
from dml.errors import UserError
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.methods.base import Method
from dml.methods.build import head_lr_scale
from dml.methods.self_supervised import SelfSupervisedMethod
from dml.methods.self_taught import SelfTaughtMethod
from dml.models import EmbeddingNet, create_model
from dml.models.create import restrain
from dml.models.embedding_net import HEAD_INITS
from dml.models.start import read_start, start_from
from dml.models.teacher import Teacher
from dml.models.weights import load_swav_weights

STML = "stml"


def self_taught(
    config: TrainConfig, student: EmbeddingNet, num_images: int, embed_training_set: Callable[[EmbeddingNet], Tensor]
) -> Method:
    """The method of ``code/main.py`` on a training set of ``num_images`` images.

    Args:
        embed_training_set: (N, G) background embeddings of the training set by a network; STML calls it every epoch.

    Raises:
        UserError: settings that do not fit the loss or the training set.
    """
    name, settings = SELF_TAUGHT_LOSSES.canonical(config.loss.loss), config.self_taught
    spec = SELF_TAUGHT_LOSSES[name]
    arguments = spec.arguments(config.loss.options)
    batch_size, seed = config.data.batch_size, config.run.seed
    common = {
        "model": student,
        "teacher": create_teacher(config, student),
        "num_views": settings.view,
        "head_lr_scale": head_lr_scale(config.optim),
    }
    if name == STML:
        neighbours = settings.num_neighbors * settings.view
        return SelfTaughtMethod(
            criterion=spec.build(num_neighbours=neighbours, **arguments),
            embed_training_set=embed_training_set,
            num_images=num_images,
            batch_size=batch_size,
            num_neighbors=settings.num_neighbors,
            seed=seed,
            **common,
        )
    _warn_of_long_queue(name, arguments, num_images * settings.view)
    if spec.has_predictor:
        arguments["predictor_width"] = 2 * student.num_features
    unlabelled = np.zeros(num_images, dtype=np.int64)
    return SelfSupervisedMethod(
        criterion=spec.build(embedding_size=config.model.embedding_size, **arguments),
        sampler=RandomSampler(unlabelled, batch_size=batch_size, seed=seed),
        **common,
    )


def _warn_of_long_queue(name: str, arguments: dict[str, object], rows_per_epoch: int) -> None:
    """Where MoCo would push an image away from its own earlier keys."""
    if name != "moco":
        return
    if (size := arguments["memory_size"]) >= rows_per_epoch:
        warnings.warn(
            f"--memory-size {size} holds a whole epoch of {rows_per_epoch} views: among MoCo's negatives are then"
            " earlier keys of the very images of the batch; a smaller queue avoids that",
            ConfigWarning,
        )


def create_teacher(config: TrainConfig, student: EmbeddingNet) -> Teacher:
    """A copy of the student: STML's always in evaluation mode, the baselines' in the method's mode.

    With ``--teacher-init random``, the published default, STML's starts by itself: its background head, and without
    pretrained weights its backbone too. From a checkpoint (``--resume``, ``--init-from``) both are the student's, its
    background head excepted if ``--teacher-init random`` is given beside it.
    """
    is_stml = config.loss.loss == STML
    by_itself = is_stml and config.self_taught.teacher_init == "random"
    if by_itself and _starts_from_scratch(config):
        network = create_student(config, continued=False)
    else:
        network = deepcopy(student)
        if by_itself:
            HEAD_INITS[config.model.head_init](network.background)
    return Teacher(network, momentum=config.self_taught.momentum, always_eval=is_stml)


def _starts_from_scratch(config: TrainConfig) -> bool:
    return not (config.model.pretrained or config.model.init_from or config.self_taught.resume)


def create_student(config: TrainConfig, *, continued: bool) -> EmbeddingNet:
    """The student: with ImageNet's, SwAV's, a checkpoint's or random weights.

    Args:
        continued: whether a checkpoint of the run will replace every weight.

    Raises:
        UserError: ``--resume`` names the checkpoint of another network.
        CheckpointError, WeightsError: weights that cannot be had.
    """
    model, settings = config.model, config.self_taught
    is_filled = bool(continued or settings.resume or model.init_from)
    weights = None if is_filled else model.weights
    downloads_swav = settings.swav and not weights
    student = create_model(
        model.model,
        embedding_size=model.embedding_size,
        pretrained=model.pretrained and not (is_filled or downloads_swav),
        weights=Path(weights) if weights else None,
        backbone_init=model.backbone_init,
        head=model.head,
        pooling=model.pooling,
        l2_norm=model.l2_norm,
        norm=model.norm_convention,
        head_init=model.head_init,
        background_size=settings.bg_embedding_size if config.loss.loss == STML else None,
        image_size=config.data.crop_size,
        bn_freeze=model.bn_freeze,
        bn_affine=model.bn_affine,
        bn_momentum=model.bn_momentum,
        drop_path=config.finetuning.drop_path,
    )
    if continued:
        restrain(student, config.finetuning)
        return student
    if model.model == "resnet18" and model.backbone_init == "published" and _starts_from_scratch(config):
        _draw_convolutions_again(student.backbone)
    if model.init_from:
        start_from(student, model.init_from)
    elif settings.resume:
        _load_weights(student, Path(settings.resume))
    elif downloads_swav:
        load_swav_weights(student.backbone)
    restrain(student, config.finetuning)
    return student


def _draw_convolutions_again(backbone: nn.Module) -> None:
    """A second draw from torchvision's own distribution.

    NOTE: the published ResNet-18 does so once its heads are made; thus a seed gives its initial weights. It does so
    with pretrained weights too, which loses them: not here.
    """
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _load_weights(student: EmbeddingNet, path: Path) -> None:
    """Take all weights from a checkpoint, ours or published, of the same network."""
    start, wanted = read_start(path), student.architecture
    conventions = {"l2_norm": wanted.l2_norm, "norm": wanted.norm, "system": wanted.system}
    if start.architecture is None or replace(start.architecture, **conventions) != wanted:
        raise UserError(
            f"--resume {path} holds {start.description}, not {wanted.describe()} (--model, --embedding-size, --head and"
            " --pooling say which; --init-from takes what fits)"
        )
    start.give(student)
