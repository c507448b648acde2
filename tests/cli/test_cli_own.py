"""Defaults for a user's own photographs: from weights, from scratch, and who else keeps the published ones."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from test_cli import flat

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.train import parse_train
from dml.config import ConfigWarning
from dml.own_recipe import SELF_TAUGHT, SELF_TAUGHT_FROM_SCRATCH, SUPERVISED, SUPERVISED_FROM_SCRATCH
from dml.programs import supervised

OWN = ("--dataset", "folder")


def train(*words: str):
    return parse_train([*OWN, *words]).config


def stml(*words: str):
    return parse_stml([*OWN, *words]).config


def assert_has(config, expected):
    found = flat(config) | (vars(config.self_taught) if config.self_taught else {})
    assert {name: found[name] for name in expected if name != "resize"} == {
        name: value for name, value in expected.items() if name != "resize"
    }


@pytest.mark.parametrize(
    ("parse", "recipe", "from_weights", "from_scratch"),
    [
        (train, "folder", SUPERVISED, SUPERVISED_FROM_SCRATCH),
        (stml, "stml_folder", SELF_TAUGHT, SELF_TAUGHT_FROM_SCRATCH),
    ],
)
def test_each_start_has_its_own(parse, recipe, from_weights, from_scratch, recwarn, tmp_path):
    for words, expected in (((), from_weights), (("--pretrained", "0"), from_weights | from_scratch)):
        config = parse(*words)
        assert config.recipe == recipe
        assert_has(config, expected)
    (tmp_path / "start.pt").touch()
    start = ("--pretrained", "0", "--weights", str(tmp_path / "start.pt"))
    assert not recwarn.list, "nobody asked for what these are"
    with pytest.raises(SystemExit):
        parse(*start)


def test_random_statistics_are_not_frozen_nor_random_backbones_warmed_up():
    scratch = train("--pretrained", "0")
    assert (scratch.model.bn_freeze, scratch.optim.warm) == (False, 0)
    assert (train().model.bn_freeze, train().data.IPC, scratch.data.IPC) == (True, 4, 4)


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        (("--crop-size", "224"), (224, 256)),
        (("--crop-size", "224", "--model", "resnet18"), (224, 256)),
        (("--crop-size", "32", "--resize", "48"), (32, 48)),
    ],
)
def test_evaluated_images_are_scaled_for_the_crop(words, sizes):
    config = train(*words)
    assert (config.data.crop_size, config.data.resize) == sizes


@pytest.mark.parametrize("loss", ["MS", "Triplet", "triplet", "margin", "softtriple", "ProxyISA", "triplet_lsd"])
def test_every_loss_has_them(loss):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config = train("--loss", loss)
    assert config.recipe == "folder"
    has_proxies = loss == "ProxyISA"
    assert config.optim.init_type == (SUPERVISED["init_type"] if has_proxies else "normal")


def test_published_recipes_stay_what_they_are():
    published = parse_train([]).config
    typed = train("--recipe", "proxy_anchor")
    assert flat(typed) | {"data_name": None, "dataset": None, "keep_copies": None, "baselines": None} == flat(
        published
    ) | {"data_name": None, "dataset": None, "keep_copies": None, "baselines": None}
    assert train("--as-source").recipe == "transfer_source"
    assert stml("--recipe", "stml").loss.options["sigma"] == 1
    assert stml("--method", "moco").recipe == "self_supervised"
    assert parse_classify([*OWN]).config.recipe == "classification"
    assert parse_train(["--dataset", "cub", "--recipe", "folder"]).config.optim.lr == train().optim.lr


def test_the_teacher_s_distances_say_how_wide_sigma_is():
    assert stml().loss.options["sigma"] == 0
    assert stml("--sigma", "3").loss.options["sigma"] == 3
    assert parse_stml([]).config.loss.options["sigma"] == 1


def test_what_the_length_of_the_set_is_too_short_for_is_said_when_that_is_known(digits, tmp_path, monkeypatch):
    def shorter(config, labels, **how):
        return replace(config, optim=replace(config.optim, epochs=3))

    def no_more(*given, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(supervised, "fit_to_size", shorter)
    monkeypatch.setattr(supervised, "fit_batches", no_more)
    words = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), "--pretrained", "0"]
    command = parse_train([*words, "--warm", "3"])
    with pytest.warns(ConfigWarning, match="--warm 3 covers all 3 epochs"), pytest.raises(KeyboardInterrupt):
        supervised.run(command)
