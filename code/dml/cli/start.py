"""What a training starts from, against the network to be trained, before any image is read."""

from __future__ import annotations

from dml.config import TrainConfig
from dml.models.backbones import traits_of
from dml.models.classifiers import check_pretrained
from dml.models.pooling import check_pooling
from dml.models.start import backbone_title, read_start
from dml.models.weights import check_weights


def check_start(config: TrainConfig) -> None:
    """What the first weights are to come from.

    Raises:
        UserError: a pooling that the network does not have.
        CheckpointError: an ``--init-from`` that cannot be read, or that holds another backbone.
        UserError: ImageNet weights of a network that starts without, or that has none.
    """
    model, classifier = config.model, config.classification
    if classifier is None:
        check_pooling(model.pooling, traits_of(model.model), model.model)
    stem = "imagenet" if classifier is None else classifier.stem
    if model.init_from is not None:
        read_start(model.init_from).require_backbone(backbone_title(model.model, stem))
    elif classifier is None:
        check_weights(model.weights, pretrained=model.pretrained)
    else:
        check_pretrained(model.model, stem=stem, pretrained=model.pretrained, weights=model.weights)
