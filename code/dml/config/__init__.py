"""What a run is told: frozen dataclasses, one a concern, whose fields are the flags of the entry points."""

from dml.config.base import ConfigWarning
from dml.config.classification import ClassificationConfig
from dml.config.data import ROOT, DataConfig, default_data_name
from dml.config.evaluate import EvaluateConfig
from dml.config.finetuning import FinetuningConfig
from dml.config.methods import DistillationConfig, IntrospectiveConfig, TransferConfig
from dml.config.noise import NoiseConfig
from dml.config.sampling import FEATURE_SAMPLERS, FeatureSamplingConfig
from dml.config.sections import (
    EvalConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
)
from dml.config.self_taught import SelfTaughtConfig
from dml.config.train import (
    OWN_SECTIONS,
    SECTIONS,
    LossConfig,
    TrainConfig,
    sections_of,
    sections_with,
    switched_on,
    train_config,
    train_config_from_json,
)

__all__ = [
    "FEATURE_SAMPLERS",
    "OWN_SECTIONS",
    "ROOT",
    "SECTIONS",
    "ClassificationConfig",
    "ConfigWarning",
    "DataConfig",
    "DistillationConfig",
    "EvalConfig",
    "EvaluateConfig",
    "FeatureSamplingConfig",
    "FinetuningConfig",
    "IntrospectiveConfig",
    "LossConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimConfig",
    "RunConfig",
    "SelfTaughtConfig",
    "TrainConfig",
    "TransferConfig",
    "default_data_name",
    "sections_of",
    "sections_with",
    "switched_on",
    "train_config",
    "train_config_from_json",
]
