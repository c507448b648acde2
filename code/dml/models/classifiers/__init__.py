"""Classification networks: ``create_classifier`` builds one, ``load_classifier`` reads one back."""

from __future__ import annotations

from dml.models.classifiers.backbones import (
    CLASSIFIER_BACKBONES,
    NAMED_BY_DEPTH,
    cifar_resnet_name,
    classifier_backbone,
    classifier_with_stem,
    default_stem,
    pyramidnet_name,
)
from dml.models.classifiers.create import (
    LoadedClassifier,
    check_pretrained,
    classifier_from_config,
    create_classifier,
    load_classifier,
)
from dml.models.classifiers.network import (
    ClassifierArchitecture,
    ClassifierNet,
    ClassifierOutput,
)

__all__ = [
    "CLASSIFIER_BACKBONES",
    "NAMED_BY_DEPTH",
    "ClassifierArchitecture",
    "ClassifierNet",
    "ClassifierOutput",
    "LoadedClassifier",
    "check_pretrained",
    "cifar_resnet_name",
    "classifier_backbone",
    "classifier_from_config",
    "classifier_with_stem",
    "create_classifier",
    "default_stem",
    "load_classifier",
    "pyramidnet_name",
]
