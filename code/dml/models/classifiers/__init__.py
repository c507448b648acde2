"""Classification networks: ``create_classifier`` builds one, ``load_classifier`` reads one back."""

from __future__ import annotations

from dml.models.classifiers.create import (
    LoadedClassifier,
    classifier_from_config,
    create_classifier,
    load_classifier,
)
from dml.models.classifiers.network import (
    CLASSIFIER_BACKBONES,
    ClassifierArchitecture,
    ClassifierNet,
    ClassifierOutput,
)

__all__ = [
    "CLASSIFIER_BACKBONES",
    "ClassifierArchitecture",
    "ClassifierNet",
    "ClassifierOutput",
    "LoadedClassifier",
    "classifier_from_config",
    "create_classifier",
    "load_classifier",
]
