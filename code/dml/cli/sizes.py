"""Sizes of images against what a network takes and an evaluation cuts out, before any image is read."""

from __future__ import annotations

import torch

from dml.config import TrainConfig
from dml.data.square import check_square
from dml.errors import UserError
from dml.models.backbones import Backbone, Traits, class_of, create_backbone, traits_of
from dml.models.classifiers import classifier_with_stem


def check_sizes(config: TrainConfig) -> None:
    """UserError for a crop that is too small for the network, or larger than what it is cut out of; UnknownNameError
    for a network that there is not. A network that is built for one size must be able to have that of the crop."""
    name, data = config.model.model, config.data
    if config.classification is not None:
        network = class_of(classifier_with_stem(name, config.classification.stem))
    else:
        network = traits_of(name)
        if network.is_sized:
            with torch.device("meta"):  # costs no numbers
                create_backbone(name, image_size=data.crop_size)
    check_crop(name, network, crop_size=data.crop_size, resize=data.resize)


def check_crop(name: str, network: Traits | type[Backbone], *, crop_size: int | None, resize: int) -> None:
    """UserError for a crop of an evaluated image that is too small for ``network``, or larger than the scaled image.

    Args:
        name: what messages call the network.
        crop_size: None: the network's own.
    """
    side = network.input_spec.crop_size if crop_size is None else crop_size
    if side < network.smallest_side:
        raise UserError(
            f"--crop-size {side} is too small for {name}, whose last maps would be empty: the smallest that it takes is"
            f" {network.smallest_side}"
        )
    check_square(side, resize)
