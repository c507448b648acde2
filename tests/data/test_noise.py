"""Wrong labels: how many, which, and whose."""

from __future__ import annotations

import numpy as np
import pytest

from dml.config import DataConfig, NoiseConfig
from dml.data import DatasetError, data_from_config
from dml.data.noise import noisy_labels
from dml.training.label_noise import keep_label_noise

LABELS = np.repeat(np.arange(8), 250)


@pytest.mark.parametrize("kind", ["symmetric", "pair"])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.9995])
def test_exactly_the_share_is_wrong(kind, ratio):
    noisy, flipped = noisy_labels(LABELS, 8, ratio=ratio, kind=kind, seed=1)
    np.testing.assert_array_equal(np.flatnonzero(noisy != LABELS), flipped)
    assert len(flipped) == round(ratio * 2000)
    assert noisy.dtype == np.int64
    assert set(noisy) <= set(range(8))


def test_the_seed_decides():
    first, again, other = (noisy_labels(LABELS, 8, ratio=0.3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()


def test_symmetric_noise_goes_to_every_other_class():
    noisy, flipped = noisy_labels(LABELS, 8, ratio=0.9, seed=0)
    table = np.zeros((8, 8))
    np.add.at(table, (LABELS[flipped], noisy[flipped]), 1)
    others = table[~np.eye(8, dtype=bool)]
    assert table.trace() == 0
    assert np.abs(others - others.mean()).max() < 5 * np.sqrt(others.mean())


def test_pair_noise_goes_to_the_next_class():
    noisy, flipped = noisy_labels(LABELS, 8, ratio=0.5, kind="pair", seed=0)
    np.testing.assert_array_equal(noisy[flipped], (LABELS[flipped] + 1) % 8)


@pytest.mark.parametrize(
    ("num_classes", "options", "message"),
    [
        (8, {"ratio": 1.0}, "--noisy_ratio is a share"),
        (8, {"ratio": -0.1}, "--noisy_ratio is a share"),
        (8, {"ratio": 0.1, "kind": "flip"}, "--noise-kind 'flip' is not one of symmetric, pair"),
        (1, {"ratio": 0.1}, "two training classes"),
    ],
)
def test_impossible_noise(num_classes, options, message):
    with pytest.raises(DatasetError, match=message):
        noisy_labels(LABELS % num_classes, num_classes, **options)


def test_noise_must_have_a_share():
    with pytest.raises(ValueError, match="--noisy_label needs --noisy_ratio"):
        NoiseConfig()


@pytest.fixture(scope="module")
def loaded(digits):
    """The same data without and with noise, validation held out."""
    config = DataConfig(dataset="folder", data_dir=str(digits), val_split=0.4)
    return [data_from_config(config, seed=3, noise=noise) for noise in (None, NoiseConfig(noisy_ratio=0.25))]


def test_only_training_labels_are_touched(loaded):
    clean, noisy = loaded
    assert clean.label_noise is None
    indices, wrong, true = noisy.label_noise
    assert len(indices) == len(clean.train) // 4
    np.testing.assert_array_equal(np.flatnonzero(clean.train.labels != noisy.train.labels), indices)
    np.testing.assert_array_equal(noisy.train.labels[indices], wrong)
    np.testing.assert_array_equal(clean.train.labels[indices], true)
    for split in ("query", "val"):
        np.testing.assert_array_equal(getattr(clean, split).labels, getattr(noisy, split).labels)
    assert noisy.train.class_names == clean.train.class_names
    for data in loaded:
        np.testing.assert_array_equal(data.train_as_it_is.labels, clean.train.labels)


def test_wrong_labels_are_kept_and_checked(loaded, tmp_path):
    noise = loaded[1].label_noise
    keep_label_noise(noise, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["label_noise.npz"]
    with np.load(tmp_path / "label_noise.npz") as saved:
        np.testing.assert_array_equal(saved["true_labels"], noise.true_labels)
    keep_label_noise(noise, tmp_path)
    with pytest.raises(ValueError, match="training images have changed"):
        keep_label_noise(noise._replace(labels=noise.labels + 1), tmp_path)
    (tmp_path / "label_noise.npz").write_bytes(b"no archive")
    with pytest.raises(ValueError, match="cannot be read"):
        keep_label_noise(noise, tmp_path)
