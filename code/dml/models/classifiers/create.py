"""A classification network by name, with or without ImageNet weights, or from its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dml.config import TrainConfig
from dml.data.run_split import RunRecord
from dml.errors import UserError
from dml.models.classifiers.backbones import classifier_backbone
from dml.models.classifiers.network import ClassifierArchitecture, ClassifierNet
from dml.models.convert import CHECKPOINT_FORMAT
from dml.models.reading import CheckpointError, load_checked, named_tensors, read_torch_file
from dml.models.start import start_from
from dml.models.weights import check_weights, load_imagenet_weights


@dataclass(frozen=True)
class LoadedClassifier:
    """A classification network read from a checkpoint.

    Attributes:
        model: in evaluation mode, on the CPU.
        config: the configuration of the run that trained it.
        epoch: epochs completed.
        split: what is said of the images of that run; None in files of earlier versions.
    """

    model: ClassifierNet
    config: dict[str, Any]
    epoch: int
    split: RunRecord | None = None


def classifier_from_config(config: TrainConfig, classes: tuple[str, ...], *, continued: bool = False) -> ClassifierNet:
    """The network that a run's settings describe; see ``create_classifier``.

    Args:
        continued: whether a checkpoint will replace every weight, so that none to start from are needed.
    """
    chosen, settings = config.classification, config.model
    model = create_classifier(
        settings.model,
        classes=classes,
        stem=chosen.stem,
        uncertainty_size=chosen.uncertainty_size if chosen.introspective else None,
        pretrained=settings.pretrained and not settings.init_from,
        weights=settings.weights,
        load=not continued,
    )
    if settings.init_from and not continued:
        start_from(model, settings.init_from)
    return model


def create_classifier(
    name: str,
    *,
    classes: tuple[str, ...],
    stem: str = "imagenet",
    uncertainty_size: int | None = None,
    pretrained: bool = False,
    weights: Path | str | None = None,
    load: bool = True,
) -> ClassifierNet:
    """Build a classification network; what no weights are loaded into starts from torch's global RNG.

    Args:
        name, classes, stem, uncertainty_size: see ``ClassifierArchitecture``.
        pretrained: start the backbone from ImageNet weights; the classifier starts at random all the same.
        weights: local file to take them from instead of the published address.
        load: False checks the rest only.

    Raises:
        UnknownNameError: an unknown name, listing the valid ones.
        UserError: options that do not fit together.
        WeightsError: the ImageNet weights cannot be had; the message says what to do.
        CheckpointError: the weight file cannot be read or belongs to another network.
    """
    check_pretrained(name, stem=stem, pretrained=pretrained, weights=weights)
    model = ClassifierNet(
        ClassifierArchitecture(backbone=name, stem=stem, classes=classes, uncertainty_size=uncertainty_size)
    )
    if pretrained and load:
        load_imagenet_weights(model.backbone, name, weights)
    return model


def check_pretrained(name: str, *, stem: str, pretrained: bool, weights: Path | str | None = None) -> None:
    """UserError for ImageNet weights of a network that has none, or a file of them beside ``pretrained`` off."""
    check_weights(weights, pretrained=pretrained)
    if pretrained and "imagenet" not in classifier_backbone(name):
        raise UserError(f"there are no ImageNet weights of {name}, a network for small images: leave out --pretrained")
    if pretrained and stem != "imagenet":
        raise UserError(
            f"--pretrained weights are of {name} with the ImageNet stem, but images of this size get the {stem} stem:"
            " leave out --pretrained, or add --stem imagenet"
        )


def load_classifier(path: Path | str) -> LoadedClassifier:
    """Read a checkpoint of ``code/classify.py``.

    Raises:
        CheckpointError: the file is missing, unreadable, unsafe, or holds no classification network of ours.
    """
    content = read_torch_file(Path(path))
    architecture = content.get("architecture")
    if (
        content.get("format") != CHECKPOINT_FORMAT
        or not isinstance(architecture, dict)
        or "classes" not in architecture
    ):
        raise CheckpointError(
            f"{path}: no checkpoint of code/classify.py; code/evaluate.py reads those of embedding networks"
        )
    try:
        model = ClassifierNet(ClassifierArchitecture(**architecture | {"classes": _names(architecture["classes"])}))
        config, epoch = dict(content["config"]), int(content["epoch"])
    except (TypeError, ValueError, KeyError, RuntimeError) as error:  # RuntimeError: sizes beyond all memory
        raise CheckpointError(f"{path}: its network cannot be rebuilt: {error}") from error
    load_checked(model, named_tensors(content.get("model"), str(path)), str(path))
    return LoadedClassifier(model.eval(), config, epoch, RunRecord.read(content.get("split")))


def _names(classes: Any) -> tuple[str, ...]:
    if not isinstance(classes, list | tuple) or not all(isinstance(name, str) for name in classes):
        raise TypeError("its class names are no list of text")
    return tuple(classes)
