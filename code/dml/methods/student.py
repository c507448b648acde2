"""The student of training without labels, and the teacher that follows it, from a run's configuration."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from torch import nn

from dml.config import TrainConfig
from dml.errors import UserError
from dml.models import EmbeddingNet, create_model
from dml.models.create import restrain
from dml.models.embedding_net import HEAD_INITS
from dml.models.start import read_start, start_from
from dml.models.teacher import Teacher
from dml.models.weights import load_swav_weights

STML = "stml"


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
