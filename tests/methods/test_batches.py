"""Batches that a user's own images fill."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dml.cli.classify import resolve_classify
from dml.cli.stml import resolve_stml
from dml.cli.target import resolve_target
from dml.cli.train import resolve_train
from dml.config import ConfigWarning, TrainConfig
from dml.data.samplers import FeatureSampler
from dml.errors import Note
from dml.methods.batches import create_sampler, fit_batches

OWN = {"dataset": "folder", "data_dir": "photos"}


def fitted(
    config: TrainConfig, counts: list[int], typed: tuple[str, ...] = ("batch_size",), **options
) -> tuple[TrainConfig, list[str]]:
    """``config`` for a training set with so many images of each class, and what is said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = fit_batches(config, np.repeat(np.arange(len(counts)), counts), typed=typed, **options)
    assert all(warning.category is (ConfigWarning if typed else Note) for warning in caught)
    return result, [str(warning.message) for warning in caught]


def config_of(resolve=resolve_train, **typed) -> TrainConfig:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resolve(OWN | typed)


@pytest.mark.parametrize(
    ("counts", "batch_size", "IPC", "told"),
    [
        ([20] * 6, 24, 4, "training set of 120 images of 6 classes fills: batches of 24, 6 classes of 4"),
        ([3, 3, 3], 8, 4, "batches of 8, 2 classes of 4"),  # four of three: drawn with replacement
        ([3, 2], 4, 2, "batches of 4, 2 classes of 2"),
        ([1, 1], 2, 1, "batches of 2, 2 classes of 1"),
        ([1] * 12, 12, 4, "batches of 12, 3 classes of 4"),
        ([8] * 16, 64, 4, ""),
    ],
)
def test_the_documented_command_fits_any_number_of_classes(counts, batch_size, IPC, told):
    config = config_of(batch_size=64, IPC=4)
    result, said = fitted(config, counts)
    assert (result.data.batch_size, result.data.IPC) == (batch_size, IPC)
    assert all(text.startswith("--batch-size 64 with --IPC 4 is more than") and told in text for text in said)
    assert len(said) == bool(told)
    labels = np.repeat(np.arange(len(counts)), counts)
    assert create_sampler(result, labels).plan(0).shape == (len(labels) // batch_size, batch_size)
    assert fitted(result, counts) == (result, [])  # as a continued run does


@pytest.mark.parametrize(
    ("typed", "counts", "batch_size"),
    [
        ({"recipe": "proxy_anchor"}, [10, 30], 40),
        ({"recipe": "proxy_isa", "loss": "ProxyISA", "IPC": 5}, [10, 30], 40),  # draws by the power of class sizes
        ({"recipe": "lsd", "loss": "margin"}, [10, 31], 40),  # LSD's two images of a class
        ({"sampler": "full_random"}, [10, 31], 41),
        ({"sampler": "greedy_coreset", "IPC": 2}, [10, 31], 40),
        ({"batch_size": 64, "IPC": 5}, [4] * 17, 60),  # 68 images give a stream of 60 in whole groups
    ],
)
def test_every_sampler_fits(typed, counts, batch_size):
    result, said = fitted(config_of(**typed), counts)
    assert result.data.batch_size == batch_size
    assert len(said) == 1
    labels = np.repeat(np.arange(len(counts)), counts)
    sampler = create_sampler(result, labels)
    if isinstance(sampler, FeatureSampler):
        sampler.set_features(np.random.default_rng(0).standard_normal((len(labels), 4)))
    assert sampler.plan(0).shape == (1, batch_size)


def test_what_only_a_default_asked_for_is_no_warning():
    config = config_of(recipe="proxy_anchor")
    result, said = fitted(config, [10, 30], typed=())
    assert said == ["--batch-size 150 is more than the training set of 40 images of 2 classes fills: batches of 40"]
    assert fitted(config, [10, 30], typed=("IPC", "lr")) == (result, said)


def test_every_entry_point_fits():
    for resolve, asked, typed in (
        (resolve_target, 90, {"source_ckpt": "source.pth"}),
        (resolve_classify, 256, {}),
        (resolve_stml, 120, {"loss": "byol"}),
    ):
        result, said = fitted(config_of(resolve, **typed), [6, 5])
        assert result.data.batch_size == 11
        assert said[0].startswith(f"--batch-size {asked} is more than the training set of 11 images")
    result, said = fitted(config_of(resolve_stml), [11])
    assert result.data.batch_size == 10
    assert (
        "--num-neighbors 5 is more than the training set of 11 images fills: batches of 10, 2 neighbourhoods" in said[0]
    )


def test_processes_share_a_batch_equally():
    assert fitted(config_of(recipe="proxy_anchor"), [10, 31], world_size=4)[0].data.batch_size == 40
    assert fitted(config_of(batch_size=64, IPC=3), [10] * 7, world_size=4)[0].data.batch_size == 12


def test_named_data_sets_and_impossible_batches_are_left_to_their_errors():
    labels = np.array([0, 0, 1])
    for typed, message in (
        ({"dataset": "cub"}, "3 images, fewer than one batch: use --batch-size 3 or less"),
        ({"batch_size": 2, "IPC": 4}, "--batch-size 2 has no room for the 4 images"),
    ):
        config = fit_batches(config_of(**typed), labels)
        with pytest.raises(ValueError, match=message):
            create_sampler(config, labels)
