"""The settings of ``code/main.py`` alone."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, like, option, require
from dml.config.methods import TransferConfig


@dataclass(frozen=True)
class SelfTaughtConfig(Section):
    """Training without labels, by a teacher that follows the student."""

    view: int = like(TransferConfig, "view", 2)
    momentum: float = option(0.999, "m of the teacher's moving average t ← m·t + (1 − m)·s")
    num_neighbors: int = option(5, "images per query in a batch, itself included (stml)", aliases=("IPC",))
    bg_embedding_size: int = option(1024, "G, length of the background embedding (stml)")
    teacher_init: str = option(
        "random",
        "how the teacher's background head, and without pretrained weights its backbone, start (stml)",
        choices=("random", "student"),
    )
    teacher_norm: bool = option(True, "accepted as published, of no effect: the teacher's are always normalised (stml)")
    unlabelled: bool | None = option(
        None,
        "of --dataset folder take every image, at any depth, without classes; unset: if images lie directly in it",
    )
    swav: bool = option(False, "start a resnet50 from SwAV's weights, downloaded or from the file of --weights")
    resume: str | None = option(None, "start from all weights of this checkpoint: ours, a run folder, or published")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.view >= 2, f"--view must be at least 2, got {self.view}: views of an image teach each other")
        require(0 <= self.momentum <= 1, f"--momentum must lie in 0..1, got {self.momentum}")
        require(self.num_neighbors >= 1, f"--num-neighbors (--IPC) must be at least 1, got {self.num_neighbors}")
        require(self.bg_embedding_size >= 1, f"--bg-embedding-size must be at least 1, got {self.bg_embedding_size}")
