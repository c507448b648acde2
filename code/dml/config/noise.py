"""Settings of label noise."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, option, require
from dml.config.switches import by_flag
from dml.ranges import between


@dataclass(frozen=True)
class NoiseConfig(Section):
    """Wrong labels among the training images, for --noisy_label."""

    switch = by_flag(
        "noisy_label",
        "give a share of the training images, --noisy_ratio, a wrong label (default no)",
        "label noise",
    )

    noisy_ratio: float = option(
        0.0, "share of the training images that get a wrong label", within=between(0, 1, without="ends")
    )
    noise_kind: str = option(
        "symmetric", "wrong labels: any other class, or always the next one", choices=("symmetric", "pair")
    )

    def __post_init__(self) -> None:
        require(self.noisy_ratio != 0, "--noisy_label needs --noisy_ratio, a share between 0 and 1")
        super().__post_init__()
