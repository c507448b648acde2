"""The settings of ``code/train_stml.py`` alone."""

from __future__ import annotations

from dataclasses import dataclass

from dml.conditions import Condition
from dml.config.base import Section, like, option, require
from dml.config.methods import TransferConfig
from dml.config.switches import by_program
from dml.ranges import at_least, between

OF_STML = Condition(
    lambda settings: settings["loss"] == "stml", "is not used by --method {loss}, but by stml", refused=True
)


@dataclass(frozen=True)
class SelfTaughtConfig(Section):
    """Training without labels, by a teacher that follows the student."""

    # What speaks of classes, proxies or a warm-up, none of which are here.
    switch = by_program(
        "train_stml.py", without=frozenset({"IPC", "sampler", "p", "warm", "proxy_lr_scale", "init_type", "as_source"})
    )

    view: int = like(TransferConfig, "view", 2)
    momentum: float = option(0.999, "m of the teacher's moving average t ← m·t + (1 − m)·s", within=between(0, 1))
    num_neighbors: int = option(
        5,
        "images per query in a batch, itself included (stml)",
        aliases=("IPC",),
        within=at_least(1),
        used_if=OF_STML,
    )
    bg_embedding_size: int = option(
        1024, "G, length of the background embedding (stml)", within=at_least(1), used_if=OF_STML
    )
    teacher_init: str = option(
        "random",
        "how the teacher's background head, and without pretrained weights its backbone, start (stml)",
        choices=("random", "student"),
        used_if=OF_STML,
    )
    teacher_norm: bool = option(
        True,
        "accepted as published, of no effect: the teacher's are always normalised (stml)",
        used_if=(
            OF_STML,
            Condition(
                lambda settings: settings["teacher_norm"],
                "0 has no effect, as published: the teacher's embeddings are always normalised",
            ),
        ),
    )
    unlabelled: bool | None = option(
        None,
        "of --dataset folder take every image, at any depth, without classes; unset: if images lie directly in it",
    )
    swav: bool = option(False, "start a resnet50 from SwAV's weights, downloaded or from the file of --weights")
    resume: str | None = option(None, "start from all weights of this checkpoint: ours, a run folder, or published")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.view >= 2, f"--view must be at least 2, got {self.view}: views of an image teach each other")
