"""What a run is told: frozen dataclasses, one a concern, whose fields are the flags of the entry points."""

from dml.config.evaluate import EvaluateConfig
from dml.config.sections import (
    ROOT,
    ConfigWarning,
    DataConfig,
    DistillationConfig,
    EvalConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TransferConfig,
)
from dml.config.train import (
    SECTIONS,
    LossConfig,
    TrainConfig,
    sections_with,
    train_config,
    train_config_from_json,
)

__all__ = [
    "ROOT",
    "SECTIONS",
    "ConfigWarning",
    "DataConfig",
    "DistillationConfig",
    "EvalConfig",
    "EvaluateConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "TrainConfig",
    "TransferConfig",
    "sections_with",
    "train_config",
    "train_config_from_json",
]
