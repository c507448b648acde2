"""What a run is told: frozen dataclasses, one a concern, whose fields are the flags of the entry points."""

from dml.config.evaluate import EvaluateConfig
from dml.config.sections import (
    ROOT,
    ConfigWarning,
    DataConfig,
    DistillationConfig,
    EvalConfig,
    IntrospectiveConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TransferConfig,
)
from dml.config.train import (
    OWN_SECTIONS,
    SECTIONS,
    LossConfig,
    TrainConfig,
    sections_with,
    train_config,
    train_config_from_json,
)

__all__ = [
    "OWN_SECTIONS",
    "ROOT",
    "SECTIONS",
    "ConfigWarning",
    "DataConfig",
    "DistillationConfig",
    "EvalConfig",
    "EvaluateConfig",
    "IntrospectiveConfig",
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
