"""The settings of methods that only some runs use: a run without one has no such section."""

from __future__ import annotations

from dataclasses import dataclass

from dml.config.base import Section, option, require


@dataclass(frozen=True)
class DistillationConfig(Section):
    """Listwise self-distillation, for a loss with _lsd at its end: --loss triplet_lsd."""

    kd_alpha: float = option(200.0, "α, weight of self-distillation at the end of the training")
    kd_tau: float = option(1.0, "τ, temperature of the lists")
    kd_beta: float = option(1.0, "factor of the similarities of different classes in the lists")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.kd_alpha >= 0, f"--kd_alpha must be 0 or more, got {self.kd_alpha}")
        require(self.kd_tau > 0, f"--kd_tau must be positive, got {self.kd_tau}")


@dataclass(frozen=True)
class IntrospectiveConfig(Section):
    """The introspective metric of IDML, for --introspective: a network that says how uncertain it is of each image."""

    introspective_gamma: float = option(4.0, "γ, how alike even certain images are taken to be")
    introspective_tau: float = option(5.0, "τ, how little uncertainty counts")
    uncertainty_norm: bool = option(False, "uncertainties of unit length, as published, from which they cannot learn")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(
            self.introspective_gamma >= 0, f"--introspective-gamma must be 0 or more, got {self.introspective_gamma}"
        )
        require(self.introspective_tau > 0, f"--introspective-tau must be positive, got {self.introspective_tau}")


@dataclass(frozen=True)
class TransferConfig(Section):
    """The frozen source network that a target network learns from."""

    source_ckpt: str = option("", "checkpoint of the source network: ours, a run folder, or published")
    source_model: str | None = option(None, "backbone that the checkpoint must hold; unset: whatever it holds")
    source_embedding_size: int | None = option(None, "embedding size that the checkpoint must hold; unset: any")
    source_norm: bool = option(True, "source embeddings of unit length")
    view: int = option(1, "random crops of each image in a batch", aliases=("num_views",))
    cache_source: bool = option(False, "embed the training images by the source once, before the first epoch")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.source_ckpt != "", "--source-ckpt FILE says which source network to learn from")
        require(self.view >= 1, f"--view must be at least 1, got {self.view}")
