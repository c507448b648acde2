"""The published defaults: what applies when a loss is chosen and a flag is left out (METHODS §24).

Keys are field names of ``dml.config``. Flags with a published default are in the tables as published; the rest
of a row is what the published code fixes without a flag (seed, clipping, pooling, initialisation, selection).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dml.own_recipe import (
    LENGTHS,
    SELF_TAUGHT,
    SELF_TAUGHT_FROM_SCRATCH,
    SELF_TAUGHT_LENGTHS,
    SELF_TAUGHT_OPTIONS,
    SUPERVISED,
    SUPERVISED_FROM_SCRATCH,
    Length,
)
from dml.registry import Registry


@dataclass(frozen=True)
class Recipe:
    """One published system's defaults.

    Attributes:
        title: as the run's first lines name it.
        defaults: field name → value.
        ipc_sampler: the sampler that ``--IPC`` selects there.
        program: the entry point that has it.
        model_defaults: backbone → what differs with it.
        arch_without_endings: what a name given by ``--arch`` means that its endings do not change.
        from_scratch: what differs for random weights.
        options: of the loss, where they are not its own defaults: flag → value.
        lengths: how many epochs there are, from weights that were trained and from scratch, where the number of images
            decides; None: as ``defaults`` have it.
    """

    title: str
    defaults: dict[str, Any]
    ipc_sampler: str
    program: str = "train.py"
    model_defaults: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    arch_without_endings: dict[str, Any] = field(default_factory=dict)
    from_scratch: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    lengths: tuple[Length, Length] | None = None


# The networks that the recipes were published for; others bring settings of their own.
PUBLISHED_NETWORKS = (
    *("bn_inception", "googlenet", "inception_v1"),
    *("resnet18", "resnet34", "resnet50", "resnet101"),
)

# What one backbone alone has in the published files: BN-Inception's batch normalisation follows its batches fast, and
# the norm of a GoogLeNet's embedding has a larger epsilon.
_FAST_STATISTICS = {"bn_momentum": 0.9}
_LARGE_EPSILON = {"norm_convention": "n_eps_1e-5"}

_PROXY_ANCHOR: dict[str, Any] = {
    "dataset": "cub",
    "embedding_size": 512,
    "batch_size": 150,
    "epochs": 60,
    "workers": 4,
    "model": "bn_inception",
    "optimizer": "adamw",
    "lr": 1e-4,
    "weight_decay": 1e-4,
    "scheduler": "step",
    "lr_decay_step": 10,
    "lr_decay_gamma": 0.5,
    "warm": 1,
    "bn_freeze": True,
    "l2_norm": True,
    "seed": 1,
    "clip_value": 10.0,
    "pooling": "avg_max",
    "head_init": "kaiming",
    "eval_distance": "cosine",
    "select_metric": "recall_at_1",
}

# NOTE: the published code of embedding transfer, of source and target, and that of STML's baselines keep no network
# unless --save 1 is given. Here every program keeps that of its best epoch unless --save 0 is.
_TRANSFER_SOURCE: dict[str, Any] = _PROXY_ANCHOR | {
    "batch_size": 90,
    "workers": 8,
    "warm": 0,
    "bn_freeze": False,
    "l2_norm": False,
    "norm_convention": "n_clamp",
    "head_init": "orthogonal",
    "eval_distance": "euclidean",
}

# The settings of CutMix's code (Yun et al., ICCV 2019), on which the introspective paper's classification stands, as
# its printed commands choose them. Milestones follow from the epochs (``classification_milestones``).
_CLASSIFICATION: dict[str, Any] = {
    "dataset": "cifar10",
    "batch_size": 256,
    "epochs": 300,
    "workers": 4,
    "model": "resnet50",
    "pretrained": False,
    "optimizer": "sgd",
    "nesterov": True,
    "lr": 0.1,
    "weight_decay": 1e-4,
    "scheduler": "multistep",
    "lr_decay_gamma": 0.1,
    "warm": 0,
    "bn_freeze": False,
    "seed": 1,
    "clip_value": 0.0,
    "resize": 256,
    "crop_size": 224,
    "augmentation": "lighting",
    "metrics": ("top_1", "top_5"),
    "select_metric": "top_1",
    "uncertainty_size": 512,
}

_CLASSIFICATION_CIFAR: dict[str, Any] = _CLASSIFICATION | {
    "batch_size": 64,
    "model": "pyramidnet200",
    "lr": 0.25,
    "resize": 32,
    "crop_size": 32,
    "crop_padding": 4,
    "augmentation": "base",
    "uncertainty_size": 128,
}

# NOTE: from scratch the published convolutions are 2.4 times as large as torch's own, which learn faster at the
# published rates (docs/stml.md); --backbone-init published has them.
_STML: dict[str, Any] = _TRANSFER_SOURCE | {
    "backbone_init": "torch",
    "batch_size": 120,
    "epochs": 90,
    "optimizer": "adamp",
    "nesterov": False,
    "norm_convention": "n_eps",
    "head_lr": 1e-4,
    "weight_decay": 1e-2,
    "scheduler": "cosine",
    "seed": 0,
    "clip_value": 0.0,
    "crop_scale": 0.16,
}
_STML_MODELS = {
    "bn_inception": {"crop_size": 227} | _FAST_STATISTICS,  # Inception-v1's own crop is 227
    "inception_v1": _LARGE_EPSILON,
    "googlenet": _LARGE_EPSILON,  # which is Inception-v1 in code/train_stml.py
}

_LSD: dict[str, Any] = {
    "dataset": "cub",
    "embedding_size": 128,
    "batch_size": 112,
    "IPC": 2,
    "sampler": "class_random",
    "epochs": 150,
    "workers": 6,
    "model": "resnet50",
    "optimizer": "adam",
    "nesterov": False,
    "lr": 1e-5,
    "weight_decay": 4e-4,
    "scheduler": "multistep",
    "milestones": (1000,),
    "lr_decay_gamma": 0.3,
    "warm": 0,
    "bn_freeze": True,
    "bn_affine": True,
    "l2_norm": True,
    "norm_convention": "n_clamp",
    "pooling": "avg",
    "head_init": "torch",
    "seed": 1,
    "clip_value": 0.0,
    "eval_distance": "euclidean",
    "metrics": (
        *("e_recall@1", "e_recall@5", "e_recall@10", "nmi", "f1", "mAP_1000", "mAP_lim", "mAP_c"),
        *("dists@intra", "dists@inter", "dists@intra_over_inter"),
        *("rho_spectrum@0", "rho_spectrum@-1", "rho_spectrum@1", "rho_spectrum@2", "rho_spectrum@10"),
    ),
    "storage_metrics": ("e_recall@1",),
    "train_metrics": True,
}

RECIPES: Registry[Recipe] = Registry(
    "recipe",
    {
        "proxy_anchor": Recipe(
            "Proxy-Anchor",
            _PROXY_ANCHOR,
            ipc_sampler="balanced",
            model_defaults={"bn_inception": _FAST_STATISTICS, "googlenet": _LARGE_EPSILON},
        ),
        "proxy_isa": Recipe(
            "Proxy-ISA",
            _PROXY_ANCHOR
            | {
                "batch_size": 128,
                "epochs": 100,
                "optimizer": "adam",
                "seed": 67,
                "select_metric": "map_at_r",
            },
            ipc_sampler="power_balanced",
            model_defaults={"bn_inception": {"pooling": "avg"} | _FAST_STATISTICS, "googlenet": _LARGE_EPSILON},
        ),
        "idml": Recipe(
            "IDML",
            _PROXY_ANCHOR
            | {
                "model": "resnet50",
                "mixup": True,
                "metrics": ("recall", "nmi", "f1", "r_precision", "map_at_r"),
            },
            ipc_sampler="balanced",
        ),
        "lsd": Recipe(
            "LSD (Revisiting)",
            _LSD,
            ipc_sampler="class_random",
            model_defaults={"inception_v1": {"crop_size": 227}, "googlenet": {"crop_size": 227}},
            arch_without_endings={"bn_freeze": False, "l2_norm": False},
        ),
        "folder": Recipe(
            "own photographs",
            _PROXY_ANCHOR | SUPERVISED,
            ipc_sampler="balanced",
            model_defaults={"bn_inception": _FAST_STATISTICS, "googlenet": _LARGE_EPSILON},
            from_scratch=SUPERVISED_FROM_SCRATCH,
            lengths=LENGTHS,
        ),
        "transfer_source": Recipe(
            "label relaxation's source",
            _TRANSFER_SOURCE,
            ipc_sampler="class_balanced",
            model_defaults={"bn_inception": _FAST_STATISTICS},
        ),
        "stml": Recipe("STML", _STML, ipc_sampler="random", program="train_stml.py", model_defaults=_STML_MODELS),
        "stml_folder": Recipe(
            "own photographs, without labels",
            _STML | SELF_TAUGHT,
            ipc_sampler="random",
            program="train_stml.py",
            model_defaults=_STML_MODELS,
            from_scratch=SELF_TAUGHT_FROM_SCRATCH,
            options=SELF_TAUGHT_OPTIONS,
            lengths=SELF_TAUGHT_LENGTHS,
        ),
        "self_supervised": Recipe(
            "STML's self-supervised baselines",
            _STML | {"head_lr": None, "l2_norm": True},
            ipc_sampler="random",
            program="train_stml.py",
            model_defaults=_STML_MODELS,
        ),
        "transfer_target": Recipe(
            "label relaxation's target",
            _TRANSFER_SOURCE | {"epochs": 90, "seed": 0, "scheduler": "cosine", "clip_value": 0.0, "adam_eps": 1.0},
            ipc_sampler="class_balanced",
            program="train_target.py",
            model_defaults={"bn_inception": _FAST_STATISTICS},
        ),
        "classification": Recipe("CutMix's ImageNet", _CLASSIFICATION, ipc_sampler="balanced", program="classify.py"),
        "classification_cifar": Recipe(
            "CutMix's CIFAR", _CLASSIFICATION_CIFAR, ipc_sampler="balanced", program="classify.py"
        ),
        # No printed command trains a ResNet there: that code's own defaults.
        "classification_cifar_resnet": Recipe(
            "CutMix's CIFAR, for ResNets",
            _CLASSIFICATION_CIFAR | {"batch_size": 128, "lr": 0.1},
            ipc_sampler="balanced",
            program="classify.py",
        ),
    },
)


def starts_from_weights(values: Mapping[str, Any]) -> bool:
    """Whether a network begins with weights from somewhere, and not with random ones.

    Args:
        values: setting → value, of those that are settled so far.
    """
    return bool(values.get("pretrained", True) or any(map(values.get, ("weights", "init_from", "resume"))))


def classification_milestones(dataset: str, epochs: int) -> tuple[int, ...]:
    """The epochs after which the rate falls to a tenth, as CutMix's code places them in a training of ``epochs``.

    On ImageNet every 75 of 300 epochs, every 30 of any other number; on CIFAR half and three quarters, rounded up.
    What is neither has the latter, which fit any length.
    """
    if dataset == "imagenet":
        every = 75 if epochs == 300 else 30
        return tuple(range(every, epochs, every))
    return math.ceil(epochs / 2), math.ceil(epochs * 3 / 4)


# What an augmentation brings: the larger crops of "big" are evaluated as large.
AUGMENTATION_DEFAULTS: dict[str, dict[str, Any]] = {"big": {"crop_size": 256}}

# Data sets that are not of the publications bring settings of their own, which the user's flags still override.
DATASET_DEFAULTS: dict[str, dict[str, Any]] = {
    "glyphs": {
        "model": "resnet18",
        "pretrained": False,
        "embedding_size": 128,
        "batch_size": 64,
        "epochs": 8,
        "lr": 5e-4,
        "lr_decay_step": 5,
        "warm": 0,
        "bn_freeze": False,
        "resize": 48,
        "crop_size": 48,
        "crop_scale": 0.5,
        "flip": False,
        "workers": 2,
    },
}
