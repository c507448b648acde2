"""The settings of image classification."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dml.conditions import when
from dml.config.base import Section, like, option
from dml.config.finetuning import FinetuningConfig
from dml.config.methods import INTROSPECTIVE, IntrospectiveConfig
from dml.config.switches import by_program
from dml.ranges import above, at_least, between

MIXED = when("mix", "mixup", "cutmix", refused=True)
RETRIEVAL_ONLY = frozenset(
    {
        *("IPC", "sampler", "p", "fold", "val_by_images", "split"),
        *("embedding_size", "l2_norm", "norm_convention", "head", "pooling", "head_init"),
        *("bn_freeze", "bn_affine", "bn_momentum", "backbone_init"),
        *("proxy_lr_scale", "init_type", "head_lr", "warm"),
        *("eval_distance", "metrics", "keep_copies", "baselines"),
        *("as_source", "visualize"),
        *(item.name for item in fields(FinetuningConfig)),
    }
)
"""What retrieval alone can use of the sections that every training has."""


@dataclass(frozen=True)
class ClassificationConfig(Section):
    """Image classification: mixed images, the introspective metric, the network's form."""

    switch = by_program("classify.py", without=RETRIEVAL_ONLY)

    mix: str = option("none", "mix images and labels of a batch", choices=("none", "mixup", "cutmix"))
    mix_alpha: float = option(
        1.0, "α of the Beta distribution that the mixing ratio is drawn from", within=above(0), used_if=MIXED
    )
    mix_probability: float = option(
        1.0, "share of the batches that are mixed", within=between(0, 1, without="low"), used_if=MIXED
    )
    introspective: bool = option(False, "train with introspective logits, which an uncertainty head dampens")
    introspective_tau: float = like(IntrospectiveConfig, "introspective_tau", 5.0)
    uncertainty_size: int = option(
        512, "length of the uncertainty", within=at_least(1), used_if=INTROSPECTIVE.condition
    )
    stem: str | None = option(
        None,
        "first layers of the network: for ImageNet's images or for CIFAR's of 32 pixels; unset: by the crop's size",
        choices=("imagenet", "cifar"),
    )
    crop_padding: int | None = option(
        None,
        "training crops from the whole image with a border of so many pixels; unset: crops of random scale",
        within=at_least(0),
        used_if=when("augment", True),
    )
