"""Losses that need no labels, by the name of the training method: what a student learns from its teacher.

``stml`` is called as ``loss(embedding, background, teacher, images) -> SelfTaughtTerms``, the others as
``loss(student, teacher, *, num_views) -> scalar``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import nn

from dml.losses.self_taught.byol import BYOLLoss
from dml.losses.self_taught.mean_shift import MeanShiftLoss
from dml.losses.self_taught.moco import MoCoLoss
from dml.losses.self_taught.stml import SelfTaughtLoss
from dml.losses.spec import LossOption
from dml.ranges import above, at_least
from dml.registry import Registry

__all__ = ["SELF_TAUGHT_LOSSES", "BYOLLoss", "MeanShiftLoss", "MoCoLoss", "SelfTaughtLoss", "SelfTaughtSpec"]


@dataclass(frozen=True)
class SelfTaughtSpec:
    """How a loss without labels is built.

    Attributes:
        build: called with the options' arguments by keyword; with ``embedding_size`` too unless it is STML's.
        recipe: whose published training defaults go with it (``dml.recipes``).
        options: flag name without dashes → what it sets.
        head: the embedding layer that the method is published with, a name of ``dml.models.architecture.HEADS``.
        has_predictor: whether ``build`` takes a ``predictor_width`` too.
    """

    build: Callable[..., nn.Module]
    recipe: str = "self_supervised"
    options: Mapping[str, LossOption] = field(default_factory=dict)
    head: str = "linear"
    has_predictor: bool = False

    def default(self, option: str) -> object:
        """The default of an option, read from the signature of what it sets."""
        return self.options[option].default_in(self.build)

    def arguments(self, options: Mapping[str, object]) -> dict[str, object]:
        """Flag → value as arguments of ``build``. KeyError for an option that the loss does not have."""
        return {self.options[flag].argument: value for flag, value in options.items()}


_MEMORY = {"memory-size": LossOption("memory_size", "embeddings of past batches in the queue", within=at_least(1))}

SELF_TAUGHT_LOSSES: Registry[SelfTaughtSpec] = Registry(
    "method",
    {
        "stml": SelfTaughtSpec(
            SelfTaughtLoss,
            recipe="stml",
            options={
                "sigma": LossOption("sigma", "bandwidth σ of the teacher's similarity", within=above(0)),
                "delta": LossOption(
                    "delta", "relative distance δ that dissimilar pairs are pushed to", within=above(0)
                ),
                "student-norm": LossOption("normalize_student", "student embeddings of unit length in the loss"),
            },
        ),
        "moco": SelfTaughtSpec(
            MoCoLoss,
            options=_MEMORY | {"temperature": LossOption("temperature", "temperature T of InfoNCE", within=above(0))},
            head="mlp",
        ),
        "byol": SelfTaughtSpec(BYOLLoss, head="mlp_bn", has_predictor=True),
        "meanshift": SelfTaughtSpec(
            MeanShiftLoss,
            options=_MEMORY
            | {"topk": LossOption("topk", "nearest neighbours of a target, itself included", within=at_least(1))},
            head="mlp_bn",
            has_predictor=True,
        ),
    },
)
