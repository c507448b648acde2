"""The settings of methods that only some runs use: a run without one has no such section."""

from __future__ import annotations

from dataclasses import dataclass

from dml.conditions import Condition, unless
from dml.config.base import Section, option, require
from dml.config.switches import by_choice, by_flag, by_program
from dml.ranges import above, at_least, between, unbounded

INTROSPECTIVE = by_flag(
    "introspective",
    "IDML's metric: the network says how uncertain it is of each image, the loss listens (default no)",
    "the introspective metric",
    in_run_name="introspective",
    recipes={"proxy_anchor": "idml"},
    fits=lambda spec: spec.takes_similarity,
)


@dataclass(frozen=True)
class DistillationConfig(Section):
    """Listwise self-distillation, for a loss with _lsd at its end: --loss triplet_lsd."""

    switch = by_choice(lambda settings: settings["distilled"], "self-distillation", "--loss {loss}_lsd")

    kd_alpha: float = option(200.0, "α, weight of self-distillation at the end of the training", within=at_least(0))
    kd_tau: float = option(1.0, "τ, temperature of the lists", within=above(0), used_if=unless("kd_alpha", 0))
    kd_beta: float = option(
        1.0,
        "factor of the similarities of different classes in the lists",
        within=unbounded("below 0, classes that are alike count as unlike"),
        used_if=unless("kd_alpha", 0),
    )


@dataclass(frozen=True)
class EMATeacherConfig(Section):
    """A teacher that is the network's exponential moving average, for --ema-teacher."""

    switch = by_flag(
        "ema_teacher",
        "a moving average of the network teaches it how images relate, beside any loss (default no)",
        "the moving-average teacher",
        in_run_name="ema_teacher",
    )

    ema_momentum: float = option(
        0.999, "m, what of the teacher stays in a step: t ← m·t + (1 − m)·s", within=between(0, 1, without="ends")
    )
    ema_weight: float = option(100.0, "weight of the teacher's lists beside the loss", within=above(0))
    ema_tau: float = option(1.0, "τ, temperature of the lists", within=above(0))


@dataclass(frozen=True)
class IntrospectiveConfig(Section):
    """The introspective metric of IDML, for --introspective: a network that says how uncertain it is of each image."""

    switch = INTROSPECTIVE

    introspective_gamma: float = option(4.0, "γ, how alike even certain images are taken to be", within=at_least(0))
    introspective_tau: float = option(5.0, "τ, how little uncertainty counts", within=above(0))
    uncertainty_norm: bool = option(False, "uncertainties of unit length, as published, from which they cannot learn")


@dataclass(frozen=True)
class TransferConfig(Section):
    """The frozen source network that a target network learns from."""

    switch = by_program("train_target.py")

    source_ckpt: str = option("", "checkpoint of the source network: ours, a run folder, or published")
    source_model: str | None = option(None, "backbone that the checkpoint must hold; unset: whatever it holds")
    source_embedding_size: int | None = option(
        None, "embedding size that the checkpoint must hold; unset: any", within=at_least(1)
    )
    source_norm: bool = option(
        True,
        "source embeddings of unit length",
        used_if=Condition(
            lambda settings: settings["compares"] == "embeddings",
            "has no effect with --loss {loss}, which compares {compares}",
        ),
    )
    view: int = option(1, "random crops of each image in a batch", aliases=("num_views",), within=at_least(1))
    cache_source: bool = option(False, "embed the training images by the source once, before the first epoch")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.source_ckpt != "", "--source-ckpt FILE says which source network to learn from")
