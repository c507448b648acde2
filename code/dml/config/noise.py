"""Settings of label noise."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, option, require


@dataclass(frozen=True)
class NoiseConfig(Section):
    """Wrong labels among the training images, for --noisy_label."""

    noisy_ratio: float = option(0.0, "share of the training images that get a wrong label")
    noise_kind: str = option(
        "symmetric", "wrong labels: any other class, or always the next one", choices=("symmetric", "pair")
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            0 < self.noisy_ratio < 1,
            f"--noisy_label needs --noisy_ratio, a share between 0 and 1; got {self.noisy_ratio}",
        )
