"""The settings of image classification."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, like, option, require
from dml.config.methods import IntrospectiveConfig


@dataclass(frozen=True)
class ClassificationConfig(Section):
    """Image classification: mixed images, the introspective metric, the network's form."""

    mix: str = option("none", "mix images and labels of a batch", choices=("none", "mixup", "cutmix"))
    mix_alpha: float = option(1.0, "α of the Beta distribution that the mixing ratio is drawn from")
    mix_probability: float = option(1.0, "share of the batches that are mixed")
    introspective: bool = option(False, "train with introspective logits, which an uncertainty head dampens")
    introspective_tau: float = like(IntrospectiveConfig, "introspective_tau", 5.0)
    uncertainty_size: int = option(512, "length of the uncertainty")
    stem: str | None = option(
        None,
        "first layers of the network: for ImageNet's images or for CIFAR's of 32 pixels; unset: by the crop's size",
        choices=("imagenet", "cifar"),
    )
    crop_padding: int | None = option(
        None, "training crops from the whole image with a border of so many pixels; unset: crops of random scale"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.mix_alpha > 0, f"--mix-alpha must be positive, got {self.mix_alpha}")
        require(0 < self.mix_probability <= 1, f"--mix-probability must lie in (0, 1], got {self.mix_probability}")
        require(self.introspective_tau > 0, f"--introspective-tau must be positive, got {self.introspective_tau}")
        require(self.uncertainty_size >= 1, f"--uncertainty-size must be at least 1, got {self.uncertainty_size}")
        require(
            self.crop_padding is None or self.crop_padding >= 0,
            f"--crop-padding must be 0 or more, got {self.crop_padding}",
        )
