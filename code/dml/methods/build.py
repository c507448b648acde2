"""Which method a run trains by. Each is built at the end of its own file; here one is chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dml.config import TrainConfig
from dml.methods import classification, mixup, self_supervised, self_taught, supervised, transfer
from dml.methods.base import Given, Method
from dml.methods.student import STML


def build_method(given: Given[Any]) -> Method:
    """The method that the settings ask for.

    Raises:
        UserError: settings that do not fit the training set or each other.
    """
    return builder_of(given.config)(given)


def builder_of(config: TrainConfig) -> Callable[[Given[Any]], Method]:
    """The ``build`` of that method."""
    if config.classification is not None:
        return classification.build
    if config.self_taught is not None:
        return self_taught.build if config.loss.loss == STML else self_supervised.build
    if config.transfer is not None:
        return transfer.build
    return mixup.build if config.loss.mixup else supervised.build
