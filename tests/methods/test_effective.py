"""What is recorded of a run is what it used, whether it was typed or not, and stays when defaults change."""

from __future__ import annotations

import json
from dataclasses import field, make_dataclass, replace

import pytest

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import SECTIONS, LossConfig, RunConfig, train_config_from_json
from dml.config.base import option
from dml.losses import LOSSES, choose_loss
from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss
from dml.losses.self_taught import SELF_TAUGHT_LOSSES
from dml.losses.transfer import TRANSFER_LOSSES
from dml.losses.tuples.snr import SNRLoss
from dml.methods.criterion import create_criterion
from dml.methods.effective import effective
from dml.miners import MINERS
from dml.models.backbones import BACKBONES, class_of
from dml.recipes import RECIPES

PARSERS = {"train": parse_train, "target": parse_target, "stml": parse_stml, "classify": parse_classify}
PLAIN = (bool, int, float, str)


def parsed(program: str, *words: str):
    return PARSERS[program]([*words, *(["--source-ckpt", "s.pth"] if program == "target" else [])]).config


def older(config, **typed) -> str:
    """``config`` as versions recorded it that knew what was typed, ``typed`` of the options, and brought."""
    stored = json.loads(config.to_json())
    del stored["loss"]["complete"]
    stored["loss"]["options"] = typed
    recipe = RECIPES[config.recipe]
    brought = recipe.defaults | recipe.model_defaults.get(config.model.model, {})
    for section, names in {
        "data": ("sampler", "crop_size"),
        "optim": ("proxy_lr_scale", "head_lr"),
        "run": ("group",),
        "self_taught": ("unlabelled",),
        "classification": ("stem",),
    }.items():
        if stored[section]:
            stored[section] |= {name: brought.get(name) for name in names}
    return json.dumps(stored)


ALL = [
    *(("train", "--loss", name) for name in LOSSES),
    *(("train", "--loss", name, "--enableMemory") for name in ("MS", "Contrastive", "ProxyISA")),
    *(("train", "--loss", "triplet_lsd", "--batch_mining", name) for name in LOSSES["triplet"].miners),
    *(("target", "--loss", name) for name in TRANSFER_LOSSES),
    *(("stml", "--method", name) for name in SELF_TAUGHT_LOSSES),
    ("classify",),
    ("classify", "--dataset", "imagenet", "--introspective"),
]


@pytest.mark.parametrize("words", ALL, ids=" ".join)
@pytest.mark.filterwarnings("ignore::dml.config.ConfigWarning")
def test_every_option_is_on_record(words):
    config = parsed(*words)
    program, chosen = words[0], config.loss
    specs = []
    if program == "train":
        specs = [choose_loss(chosen.loss, memory=chosen.memory).spec, *([MINERS[chosen.miner]] if chosen.miner else [])]
        assert (config.optim.proxy_lr_scale is None) == (specs[0].lr_scale is None)
        assert config.optim.head_lr is not None
    elif program != "classify":
        specs = [{"target": TRANSFER_LOSSES, "stml": SELF_TAUGHT_LOSSES}[program][chosen.loss]]
    assert set(chosen.options) == {flag for spec in specs for flag in spec.options}
    assert all(type(value) in PLAIN for value in chosen.options.values())
    assert config.data.crop_size is not None
    assert (config.data.sampler is None) == (program == "stml")
    assert effective(config) == config
    assert train_config_from_json(config.to_json()) == config
    assert effective(train_config_from_json(older(config))) == config


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        (("train",), ("--alpha", "32", "--mrg", "0.1", "--proxy-lr-scale", "100", "--head-lr", "1e-4")),
        (("train",), ("--sampler", "random", "--crop-size", "224", "--fc_lr", "-1")),
        (("train", "--loss", "triplet"), ("--batch_mining", "distance", "--miner_distance_lower_cutoff", "0.5")),
        (("train", "--IPC", "5"), ("--sampler", "balanced")),
        (("train", "--loss", "ProxyISA", "--enableMemory"), ("--k", "0.9", "--start-epoch", "2")),
        (("train", "--loss", "npair", "--model", "bninception"), ("--loss_npair_divisor", "4")),
        (("train", "--loss", "npair", "--model", "bninception"), ("--model", "bn_inception")),
        (("train", "--loss", "softmax"), ("--loss_softmax_lr", "1e-5")),
        (("target", "--loss", "CRD"), ("--crd-negatives", "4096", "--proxy-lr-scale", "100")),
        (("stml",), ("--sigma", "1", "--student-norm", "0", "--unlabelled", "0", "--crop-size", "227")),
        (("stml", "--method", "moco"), ("--temperature", "0.07", "--memory-size", "9600")),
        (("classify", "--model", "resnet18"), ("--stem", "cifar", "--crop-size", "32")),
    ],
    ids=lambda words: " ".join(words),
)
def test_a_typed_default_makes_no_difference(words, typed):
    assert parsed(*words, *typed) == parsed(*words)


def test_what_networks_and_miners_bring():
    assert parsed("train", "--loss", "npair", "--model", "resnet50").loss.options["loss_npair_divisor"] == 1
    for miner, value in (("distance", 0.0), ("semihard", 0.1)):
        words = ("train", "--loss", "snr", "--batch_mining", miner, "--loss_snr_reg_lambda", "0.1")
        assert parsed(*words).loss.options["loss_snr_reg_lambda"] == value
    assert parsed("train", "--model", "inception_v1").data.crop_size == 227
    assert parsed("train", "--loss", "ProxyISA", "--IPC", "4").data.sampler == "power_balanced"
    small, large = (
        parsed("classify", "--model", "resnet18", "--resize", "64", "--crop-size", size) for size in ("32", "33")
    )
    assert (small.classification.stem, large.classification.stem) == ("cifar", "imagenet")
    assert {class_of(build).input_spec.crop_size for build in BACKBONES.values()} == {224, 227}


def test_a_rate_has_one_value_under_both_its_names(capsys):
    scaled = parsed("train", "--loss", "margin", "--proxy-lr-scale", "3", "--lr", "1e-5")
    assert scaled.loss.options["loss_margin_beta_lr"] == pytest.approx(3e-5)
    named = parsed("train", "--loss", "margin", "--loss_margin_beta_lr", "3e-5", "--lr", "1e-5")
    assert named.optim.proxy_lr_scale == pytest.approx(3)
    with pytest.raises(SystemExit):
        parsed("train", "--loss", "margin", "--proxy-lr-scale", "3", "--loss_margin_beta_lr", "3e-5")
    assert "--proxy-lr-scale and --loss_margin_beta_lr set the same learning rate" in capsys.readouterr().err


def test_images_without_classes_are_on_record_as_such(tmp_path):
    (tmp_path / "1.png").touch()
    flat = parsed("stml", "--dataset", "folder", "--data-dir", str(tmp_path))
    assert flat.self_taught.unlabelled is True
    (tmp_path / "1.png").unlink()
    assert effective(train_config_from_json(flat.to_json())).self_taught.unlabelled is True
    assert parsed("stml").self_taught.unlabelled is False


def test_a_continued_run_has_what_it_recorded_whatever_the_defaults_are_now(tmp_path, monkeypatch):
    words = {
        "anchor": ("train", "--IPC", "5"),
        "snr": ("train", "--loss", "snr"),
        "transfer": ("target", "--loss", "CRD"),
    }
    begun = {name: parsed(*command) for name, command in words.items()}
    for name, config in begun.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(config.to_json())
    monkeypatch.setitem(ProxyAnchorLoss.__init__.__kwdefaults__, "margin", 0.7)
    monkeypatch.setitem(SNRLoss.__init__.__kwdefaults__, "margin", 0.7)
    monkeypatch.setitem(
        LOSSES._entries,
        "signal_to_noise",
        replace(LOSSES["snr"], fixed_by_miner={"distance": {"loss_snr_margin": 9.0}}),
    )
    monkeypatch.setitem(LOSSES._entries, "proxy_anchor", replace(LOSSES["proxy_anchor"], lr_scale=7.0))
    monkeypatch.setitem(
        RECIPES._entries, "proxy_anchor", replace(RECIPES["proxy_anchor"], ipc_sampler="class_balanced")
    )
    monkeypatch.setattr(BACKBONES["bn_inception"], "input_spec", class_of(BACKBONES["inception_v1"]).input_spec)
    changed = {name: parsed(*command) for name, command in words.items()}
    assert changed["anchor"].loss.options["mrg"] == 0.7
    assert (changed["anchor"].data.sampler, changed["anchor"].data.crop_size) == ("class_balanced", 227)
    assert changed["snr"].loss.options["loss_snr_margin"] == 9
    assert changed["transfer"].optim.proxy_lr_scale == 7
    for name, config in begun.items():
        continued = PARSERS[words[name][0]](["--resume-run", str(tmp_path / name)]).config
        assert continued == config
    assert create_criterion(begun["anchor"], choose_loss("Proxy_Anchor", memory=False), 3).margin == 0.1
    criterion = create_criterion(begun["snr"], choose_loss("snr", memory=False), 3).criterion
    assert (criterion.margin, criterion.reg_lambda) == (0.2, 0.0)


def test_older_configurations_mean_what_they_meant():
    snr = parsed("train", "--loss", "snr")
    text = older(snr, loss_snr_margin=0.2, loss_snr_reg_lambda=0.1)  # typed, and of no effect with this miner
    assert effective(train_config_from_json(text)) == snr
    typed = effective(train_config_from_json(older(parsed("train"), alpha=16.0)))
    assert typed == parsed("train", "--alpha", "16")
    stored = json.loads(older(snr))
    stored["loss"] = {"loss": "snr"}
    assert effective(train_config_from_json(json.dumps(stored))) == snr


def test_a_setting_younger_than_the_run_has_the_value_that_the_run_had(monkeypatch):
    young = [
        ("twist", int, option(5, "new", before=3)),
        ("turn", int, option(4, "new")),
        ("note", str, field(default="")),
    ]
    text = parsed("train").to_json()
    monkeypatch.setitem(SECTIONS, "run", make_dataclass("Run", young, bases=(RunConfig,), frozen=True))
    run = train_config_from_json(text).run
    assert (run.twist, run.turn) == (3, 4)
    assert train_config_from_json(text, {"twist": 8}).run.twist == 8
    assert SECTIONS["run"]().twist == 5


def test_options_of_another_version_are_named():
    config = replace(parsed("train"), loss=LossConfig("Proxy_Anchor", options={"alpha": 16.0, "beta": 1}))
    with pytest.raises(ValueError, match="options that Proxy_Anchor does not have: beta"):
        effective(config)


def test_paths_are_recorded_without_secrets():
    config = parsed("train", "--data-dir", "/mnt/me:sesame@host/photos", "--remark", "token=abc")
    assert config.data.data_dir == "/mnt/me:sesame@host/photos"
    assert config.record()["data"]["data_dir"] == "/mnt/***@host/photos"
    assert "sesame" not in config.to_json() and "abc" not in config.to_json()
