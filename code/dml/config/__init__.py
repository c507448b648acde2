"""What a run is told: frozen dataclasses, one a concern, whose fields are the flags of the entry points."""

from dml.config.evaluate import EvaluateConfig
from dml.config.sections import (
    ROOT,
    ConfigWarning,
    DataConfig,
    EvalConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TransferConfig,
)
from dml.config.train import (
    SECTIONS,
    TRANSFER_SECTIONS,
    LossConfig,
    TrainConfig,
    train_config,
    train_config_from_json,
)

__all__ = [
    "ROOT",
    "SECTIONS",
    "TRANSFER_SECTIONS",
    "ConfigWarning",
    "DataConfig",
    "EvalConfig",
    "EvaluateConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "TrainConfig",
    "TransferConfig",
    "train_config",
    "train_config_from_json",
]
