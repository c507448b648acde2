"""Epochs and batches that suit a user's own number of images."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dml.cli.stml import resolve_stml
from dml.cli.train import resolve_train
from dml.config import TrainConfig
from dml.errors import Note
from dml.methods.length import MOST_EVALUATIONS, fit_to_size, has_weights
from dml.own_recipe import LENGTHS, SELF_TAUGHT_LENGTHS

OWN = {"dataset": "folder", "data_dir": "photos"}


def config_of(resolve=resolve_train, **typed) -> TrainConfig:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resolve(OWN | typed)


def labels_of(images: int, classes: int = 50) -> np.ndarray:
    return np.arange(images) % classes


def fitted(config: TrainConfig, labels: np.ndarray, *typed: str) -> TrainConfig:
    said = rf"^\d+ epochs for {len(labels):,} training images; --epochs says otherwise$"
    with pytest.warns(Note, match=said) as told:
        result = fit_to_size(config, labels, is_new=True, typed=typed)
    assert str(told[0].message).startswith(f"{result.optim.epochs} epochs")
    return result


def epochs(config: TrainConfig, images: int, *typed: str) -> int:
    return fitted(config, labels_of(images), *typed).optim.epochs


@pytest.mark.parametrize("length", [*LENGTHS, *SELF_TAUGHT_LENGTHS])
def test_a_training_sees_as_many_images_whatever_the_size_of_the_set_within_bounds(length):
    assert length.epochs(1) == length.epochs(0) == length.most
    assert length.epochs(10**7) == length.fewest
    number = length.images // (length.fewest + 3)
    assert length.images <= length.epochs(number) * number < length.images + number
    assert length.fewest < length.epochs(number) < length.most


@pytest.mark.parametrize(("resolve", "lengths"), [(resolve_train, LENGTHS), (resolve_stml, SELF_TAUGHT_LENGTHS)])
def test_the_number_of_images_decides(resolve, lengths):
    from_weights, from_scratch = lengths
    assert epochs(config_of(resolve), 3_000) == from_weights.epochs(3_000)
    assert epochs(config_of(resolve, pretrained=False), 3_000) == from_scratch.epochs(3_000)
    assert epochs(config_of(resolve), 3_000, "lr") == from_weights.epochs(3_000)


@pytest.mark.parametrize(
    ("typed", "how"),
    [
        ({}, {"is_new": False}),  # a run that goes on keeps its own
        ({"epochs": 7}, {"is_new": True, "typed": {"epochs"}}),
        ({"epochs": 7, "batch_size": 64}, {"is_new": True, "typed": {"epochs", "batch_size"}}),
        ({"recipe": "proxy_anchor"}, {"is_new": True}),
        ({"dataset": "cub"}, {"is_new": True}),
    ],
)
def test_what_has_its_epochs_keeps_them(typed, how, recwarn):
    config = config_of(**typed)
    assert fit_to_size(config, labels_of(3_000), **how) == config
    assert not recwarn.list


@pytest.mark.parametrize(
    ("images", "classes", "typed", "batch_size", "IPC"),
    [
        (3_000, 50, (), 96, 4),
        (160, 20, (), 40, 4),  # four steps an epoch
        (12, 4, (), 16, 4),  # what these cannot fill is for ``fit_batches``
        (4_000, 5, (), 95, 19),  # few classes have more images in a batch
        (30, 5, (), 16, 4),
        (64, 64, (), 16, None),
        (64, 64, ("IPC",), 16, 4),
        (4_000, 5, ("IPC",), 96, 4),
        (4_000, 5, ("batch_size",), 96, 4),
    ],
)
def test_batches_of_small_sets_and_of_few_classes(images, classes, typed, batch_size, IPC):
    result = fitted(config_of(), labels_of(images, classes), *typed)
    assert (result.data.batch_size, result.data.IPC) == (batch_size, IPC)


def test_of_many_short_epochs_some_are_evaluated():
    assert fitted(config_of(), labels_of(3_000)).evaluation.eval_every == 1
    many = fitted(config_of(), labels_of(160))
    assert many.optim.epochs / many.evaluation.eval_every <= MOST_EVALUATIONS
    assert fitted(config_of(eval_every=2), labels_of(160), "eval_every").evaluation.eval_every == 2


def test_which_start_there_is(tmp_path):
    (tmp_path / "start.pt").touch()
    start = str(tmp_path / "start.pt")
    assert has_weights(config_of())
    assert not has_weights(config_of(pretrained=False))
    assert has_weights(config_of(pretrained=False, init_from=start))
    assert has_weights(config_of(resolve_stml, pretrained=False, resume=start))
