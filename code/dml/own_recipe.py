"""Defaults for a user's own photographs (``--dataset folder``), which no publication has.

What was measured of them, and on which photographs: docs/own_photographs.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Length:
    """How many epochs a training has where the size of its set decides.

    Attributes:
        images: that a training sees in all, counted as often as they are seen.
        fewest, most: bounds of the epochs.
    """

    images: int
    fewest: int
    most: int

    def epochs(self, number: int) -> int:
        """Of a training set of ``number`` images."""
        return min(self.most, max(self.fewest, math.ceil(self.images / max(number, 1))))


# From weights that were trained, and from scratch. STML sees each image twice at once.
LENGTHS = (Length(images=24_000, fewest=4, most=100), Length(images=40_000, fewest=5, most=100))
SELF_TAUGHT_LENGTHS = (Length(images=12_000, fewest=2, most=60), Length(images=24_000, fewest=4, most=100))

# Of both recipes, from weights that were trained and from scratch.
_FROM_WEIGHTS: dict[str, Any] = {
    "dataset": "folder",
    "model": "mobilenet_v2",
    "embedding_size": 512,
    "lr": 1e-4,
    "pooling": "avg",
    "resize": None,  # follows the crop
    "crop_size": 96,
    "crop_scale": 0.3,
}
_FROM_SCRATCH: dict[str, Any] = {
    "pretrained": False,
    "model": "resnet18",
    "embedding_size": 128,
    "bn_freeze": False,
    "crop_size": 64,
}

SUPERVISED: dict[str, Any] = _FROM_WEIGHTS | {
    "batch_size": 96,
    "IPC": 4,
    "epochs": LENGTHS[0].most,
    "scheduler": "cosine",
    "warm": 1,
    "init_type": "center",
    "head_init": "orthogonal",
}
SUPERVISED_FROM_SCRATCH: dict[str, Any] = _FROM_SCRATCH | {"epochs": LENGTHS[1].most, "lr": 1e-3, "warm": 0}

SELF_TAUGHT: dict[str, Any] = _FROM_WEIGHTS | {
    "batch_size": 60,
    "epochs": SELF_TAUGHT_LENGTHS[0].most,
    "momentum": 0.99,
    "bn_freeze": True,
    "l2_norm": True,
}
SELF_TAUGHT_FROM_SCRATCH: dict[str, Any] = _FROM_SCRATCH | {
    "epochs": SELF_TAUGHT_LENGTHS[1].most,
    "lr": 5e-4,
    "head_lr": 5e-4,
    "momentum": 0.9,
}
SELF_TAUGHT_OPTIONS: dict[str, Any] = {"sigma": 0.0}
