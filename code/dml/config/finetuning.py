"""How far a pretrained network moves from where it starts."""

from __future__ import annotations

from dataclasses import dataclass

from dml.conditions import Condition, unless
from dml.config.base import Section, option, require
from dml.ranges import at_least, between

WHOLE = "backbone"
TRAINED_BACKBONE = unless("freeze", WHOLE)
WHOLE_IS_FROZEN = Condition(
    lambda settings: settings["freeze"] == WHOLE,
    f"is used by runs whose backbone does not change: add --freeze {WHOLE}",
    refused=True,
)
OF_TRAIN = Condition(lambda settings: settings["program"] == "train.py", "is used by train.py alone", refused=True)
CACHED = Condition(lambda settings: settings["cache_features"], "has no effect without --cache-features")
ONE_RATE_FOR_ALL = unless("scheduler", "cyclic")


@dataclass(frozen=True)
class FinetuningConfig(Section):
    """Fine-tuning: what stays as it is, rates by depth, and what of a network's training is saved."""

    freeze: str | None = option(
        None,
        "backbone, or a number: what of the network stays as it is, all below the head or so many first blocks, the"
        " stem being one; statistics of batch normalisation stay, too",
    )
    layer_decay: float | None = option(
        None,
        "learning rate of a block of the backbone in multiples of that of the next deeper one; the head's, and that of"
        " what follows the last block, is --lr",
        within=between(0, 1, without="low"),
        used_if=(TRAINED_BACKBONE, ONE_RATE_FOR_ALL),
    )
    drop_path: float = option(
        0.0,
        "probability that an image passes by the last block in training; by earlier ones less, in proportion",
        within=between(0, 1, without="high"),
        used_if=TRAINED_BACKBONE,
    )
    grad_checkpointing: bool = option(
        False,
        "keep no activations within blocks, but compute them again for the gradient: less memory, more time",
        used_if=TRAINED_BACKBONE,
    )
    weight_ema: float | None = option(
        None,
        "m of the moving average a ← m·a + (1 − m)·w of all weights after every step, which is evaluated and kept",
        within=between(0, 1, without="ends"),
    )
    cache_features: bool = option(
        False,
        "compute the features of each image once, without augmentation, and train head and loss on them",
        used_if=(OF_TRAIN, WHOLE_IS_FROZEN),
    )
    cache_views: int | None = option(
        None,
        "with --cache-features, so many random crops of each training image, made once, in place of one without"
        " augmentation",
        within=at_least(1),
        used_if=CACHED,
    )

    feature_cache: str | None = option(
        None,
        "with --cache-features, a folder that keeps them for other runs of the same network over the same images; not"
        " the random crops of --cache-views",
        used_if=CACHED,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.freeze is None or self.freeze == WHOLE or (self.freeze.isdecimal() and int(self.freeze) > 0),
            f"--freeze takes {WHOLE} or a number of blocks, 1 or more; got {self.freeze}",
        )

    @property
    def frozen_blocks(self) -> int:
        """How many first blocks stay as they are; 0 if the whole backbone does."""
        return int(self.freeze) if self.freeze and self.freeze != WHOLE else 0

    @property
    def is_whole_frozen(self) -> bool:
        """Whether the whole backbone stays as it is."""
        return self.freeze == WHOLE
