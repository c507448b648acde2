"""Flags about the training images: wrong labels, validation splits, augmentations, samplers of features."""

from __future__ import annotations

import pytest

from dml.cli.train import parse_train
from dml.config import ConfigWarning, FeatureSamplingConfig, NoiseConfig, train_config_from_json


def train(*arguments: str):
    return parse_train(arguments).config


def error_of(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as stop:
        parse_train(arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--dataset", "CUB200", "--data-dir", "/data/birds"), "cub"),
        (("--dataset", "folder", "--data-dir", "/data/photos/"), "photos"),
        (("--dataset", "folder", "--data-dir", "/data/photos/2026/.."), "photos"),
        (("--dataset", "folder", "--data-dir", "/data/trees.2026.csv"), "trees.2026"),
        (("--dataset", "folder", "--data-dir", "/"), "folder"),
        (("--dataset", "folder", "--data-dir", "/data/photos", "--data-name", "autumn"), "autumn"),
        (("--data_name", "birds"), "birds"),
    ],
)
def test_the_name_of_the_data(arguments, name):
    config = train(*arguments)
    assert config.data.data_name == config.data.name == name
    assert train_config_from_json(config.to_json()) == config


def test_a_run_without_a_name_of_its_data_has_the_same_one():
    config = train("--dataset", "folder", "--data-dir", "/data/photos")
    older = config.to_json().replace('"data_name": "photos"', '"data_name": null')
    assert train_config_from_json(older).data.name == "photos"


def test_label_noise():
    assert train().noise is None
    assert train("--noisy_label", "0").noise is None
    config = train("--noisy_label", "--noisy_ratio", "0.3")
    assert config.noise == NoiseConfig(noisy_ratio=0.3, noise_kind="symmetric")
    assert train("--noisy-label", "--noisy-ratio", "0.3", "--noise_kind", "pair").noise.noise_kind == "pair"
    assert train_config_from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        (("--use_tv_split",), ("--val-split", "0.2")),
        (("--use_tv_split", "--tv_split_perc", "0.7"), ("--val-split", "0.3")),
        (("--use_tv_split", "--tv_split_by_samples"), ("--val-split", "0.2", "--val-by-images")),
    ],
)
def test_published_validation_splits(published, ours):
    assert train(*published).data == train(*ours).data


def test_augmentations():
    assert train().data.augmentation == "base"
    assert train("--augmentation", "big").data.crop_size == 256
    assert train("--augmentation", "big", "--crop-size", "240").data.crop_size == 240
    assert train("--augmentation", "red").data.crop_size == 224  # the network's own
    assert train("--loss", "triplet", "--arch", "googlenet", "--augmentation", "big").data.crop_size == 256
    assert train("--dataset", "glyphs", "--augmentation", "big").data.crop_size == 48  # of small pictures


@pytest.mark.parametrize("name", [".", "..", "a/b"])
def test_names_that_are_none(capsys, name):
    assert f"--data-name {name!r} is no name" in error_of(capsys, "--data-name", name)


def test_samplers_of_features():
    config = train("--data_sampler", "d2_coreset", "--samples_per_class", "2", "--data_batchmatch_bigbs", "64")
    assert config.feature_sampling == FeatureSamplingConfig(data_batchmatch_bigbs=64)
    assert train_config_from_json(config.to_json()) == config
    assert train("--data_sampler", "class_random", "--samples_per_class", "2").feature_sampling is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--augmentation", "adv", "--augment", "0"), "--augmentation has no effect with --augment 0"),
        (("--augmentation", "red", "--crop-scale", "0.5"), "--crop-scale has no effect with --augmentation red"),
        (("--bn-affine", "--bn-freeze", "0"), "--bn-affine has no effect with --bn-freeze 0"),
    ],
)
def test_flags_without_effect(arguments, message):
    with pytest.warns(ConfigWarning, match=message):
        train(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--noisy_label",), "--noisy_label needs --noisy_ratio"),
        (("--noisy_ratio", "0.3"), "--noisy_ratio is used by label noise only: add --noisy_label"),
        (("--noisy_label", "--noisy_ratio", "1.5"), "--noisy_ratio must lie in (0, 1), got 1.5"),
        (("--noisy_label", "--noisy_ratio", "0.1", "--noise-kind", "flip"), "--noise-kind 'flip' is not one of"),
        (("--tv_split_perc", "0.7"), "--tv_split_perc is used with --use_tv_split only"),
        (("--use_tv_split", "--tv_split_perc", "2"), "--tv_split_perc must lie in (0, 1), got 2.0"),
        (("--use_tv_split", "--val-split", "0.1"), "exclude each other"),
        (("--tv_split_by_samples",), "goes with --val-split"),
        (("--augmentation", "strong"), "--augmentation 'strong' is not one of base, adv, big, red"),
        (("--data_gc_softened",), "is used by samplers of features only"),
        (("--sampler", "greedy_coreset", "--data_mb_mom", "1"), "--data_mb_mom must lie in"),
        (("--sampler", "greedy_coreset", "--data_mb_mom", "0.5"), "--data_mb_mom goes with --data_idx_full_prec"),
        (("--sampler", "greedy_coreset", "--data_idx_full_prec", "--data_mb_lr", "2"), "--data_mb_lr goes with"),
    ],
)
def test_mistakes_are_named(capsys, arguments, message):
    assert message in error_of(capsys, *arguments)
