"""What a run keeps by default, and constants of a recipe that another flag meets: kept as published, and said."""

from __future__ import annotations

import re
import warnings

import pytest
from test_cli import flat

from dml.cli.classify import parse_classify
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import ConfigWarning

PROGRAMS = {
    "train": parse_train,
    "target": lambda words: parse_target(["--source-ckpt", "source.pth", *words]),
    "main": parse_stml,
    "classify": parse_classify,
}


def resolved(program: str, words: str) -> tuple[dict, list[str]]:
    """The settings, and what is said of defaults that stay."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        config = PROGRAMS[program](words.split()).config
    said = [str(item.message) for item in caught if issubclass(item.category, ConfigWarning)]
    return flat(config), [text for text in said if "since no flag says otherwise" in text]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        *(("train", words) for words in ("", "--loss triplet", "--loss ProxyISA", "--introspective", "--as-source")),
        *(("main", words) for words in ("", "--method moco", "--method byol", "--method meanshift")),
        ("target", ""),
        ("classify", ""),
        ("train", "--dataset glyphs"),
    ],
)
def test_the_best_network_is_kept_by_every_program(program, words):
    assert resolved(program, words)[0]["save"] is True
    assert resolved(program, f"{words} --save 0")[0]["save"] is False


@pytest.mark.parametrize(
    ("program", "words", "settings", "said"),
    [
        (
            *("target", "--optimizer adam"),
            {"lr": 1e-4, "adam_eps": 1.0},
            "--optimizer adam instead of adamw: the defaults --lr 0.0001, --weight-decay 0.0001, --adam-eps 1 stay",
        ),
        (
            *("train", "--optimizer sgd"),
            {"lr": 1e-4, "nesterov": True, "sgd_momentum": 0.9},
            "--optimizer sgd instead of adamw: the defaults --lr 0.0001, --weight-decay 0.0001, --sgd-momentum 0.9,"
            " --nesterov 1 stay",
        ),
        (
            *("main", "--optimizer sgd --lr 0.1"),
            {"lr": 0.1, "nesterov": False, "weight_decay": 1e-2, "head_lr": 1e-4},
            "--optimizer sgd instead of adamp: the defaults --weight-decay 0.01, --sgd-momentum 0.9, --nesterov 0 stay",
        ),
        (
            *("main", "--lr 5e-4"),
            {"lr": 5e-4, "head_lr": 1e-4},
            "--lr 0.0005 instead of 0.0001: the defaults --head-lr 0.0001 stay",
        ),
        (
            *("classify", "--optimizer adamw"),
            {"lr": 0.25, "weight_decay": 1e-4},
            "--optimizer adamw instead of sgd: the defaults --lr 0.25, --weight-decay 0.0001 stay",
        ),
        (
            *("classify", "--dataset imagenet --pretrained"),
            {"pretrained": True, "lr": 0.1},
            "--pretrained 1 instead of 0: the defaults --lr 0.1 stay",
        ),
        (
            *("train", "--pretrained 0"),
            {"bn_freeze": True, "warm": 1},
            "--pretrained 0 instead of 1: the defaults --lr 0.0001, --bn-freeze 1, --warm 1 stay",
        ),
        (
            *("main", "--scheduler step"),
            {"lr_decay_step": 10, "lr_decay_gamma": 0.5},
            "--scheduler step instead of cosine: the defaults --lr-decay-step 10, --lr-decay-gamma 0.5 stay",
        ),
        (
            *("train", "--scheduler exp"),
            {"lr_decay_gamma": 0.5},
            "--scheduler exp instead of step: the defaults --lr-decay-gamma 0.5 stay",
        ),
        (
            *("train", "--scheduler multistep --lr-decay-gamma 0.1"),
            {"milestones": (), "lr_decay_gamma": 0.1},
            "--scheduler multistep instead of step: the defaults --milestones (none: the rate never decays) stay",
        ),
        (
            *("train", "--loss arcface --lr 1e-3"),
            {"lr": 1e-3},
            "--lr 0.001 instead of 1e-05: the defaults --loss_arcface_lr 0.0005 stay",
        ),
        (
            *("train", "--dataset glyphs --optimizer adam"),
            {"lr": 5e-4, "adam_eps": 1e-8},
            "--optimizer adam instead of adamw: the defaults --lr 0.0005, --weight-decay 0.0001, --adam-eps 1e-08 stay",
        ),
    ],
)
def test_a_default_that_another_flag_meets_stays_as_published_and_is_said(program, words, settings, said):
    found, told = resolved(program, words)
    assert {name: found[name] for name in settings} == settings
    assert any(text.startswith(said) for text in told), told


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("train", ""),
        ("train", "--optimizer adamw --scheduler step --pretrained 1 --lr 1e-4"),
        ("train", "--loss triplet --scheduler step --lr 0.00001"),  # as published: its word for multistep
        ("train", "--loss arcface --lr 1e-3 --loss_arcface_lr 1e-3"),
        ("train", "--loss arcface --lr 1e-3 --proxy-lr-scale 10"),
        ("train", "--loss Proxy_Anchor --lr 1e-3"),  # its proxies have a multiple of it
        ("train", "--scheduler cosine"),
        ("train", "--pretrained 0 --lr 1e-3 --bn-freeze 0 --warm 0"),
        ("train", "--optimizer sgd --lr 0.1 --weight-decay 1e-4 --sgd-momentum 0.9 --nesterov 0"),
        ("target", "--optimizer adam --lr 1e-4 --weight-decay 0 --adam-eps 1e-8"),
        ("main", "--optimizer adamp --lr 1e-4 --fix_lr true"),
        ("main", "--method moco --lr 1e-3"),  # one rate for all
        ("main", "--lr 1e-3 --emb-lr 1e-3"),
        ("classify", "--introspective --mix cutmix --dataset cifar100"),
        ("classify", "--dataset imagenet --pretrained --lr 0.01"),
    ],
)
def test_nothing_is_said_of_what_was_not_touched_or_was_chosen(program, words):
    assert resolved(program, words)[1] == []


def test_constants_of_one_method_apply_with_it_alone():
    """The warm-up of introspective logits, the probability of CutMix on CIFAR, the crop of an Inception."""
    assert resolved("classify", "--introspective")[0]["lr_warmup"] == 1
    assert resolved("classify", "")[0]["lr_warmup"] == 0
    assert resolved("main", "")[0]["crop_size"] == 227
    assert resolved("main", "--model resnet18")[0]["crop_size"] == 224
    config = PROGRAMS["classify"]
    assert config(["--mix", "cutmix"]).config.classification.mix_probability == 0.5
    assert config(["--mix", "mixup"]).config.classification.mix_probability == 1


def test_one_line_for_each_flag():
    told = resolved("main", "--optimizer sgd --scheduler step --lr 1e-3")[1]
    assert [re.match(r"--[\w-]+", text)[0] for text in told] == ["--optimizer", "--scheduler", "--lr"]


@pytest.mark.parametrize(
    ("program", "words", "said"),
    [
        ("train", "--epochs 8 --lr-decay-step 8", "--lr-decay-step 8 lies beyond the 8 epochs: the rate never decays"),
        ("train", "--lr-decay-step 60", "--lr-decay-step 60 lies beyond the 60 epochs: the rate never decays"),
        ("train", "--epochs 1", "--warm 1 covers all 1 epochs: the backbone never trains"),
        ("train", "--warm 60", "--warm 60 covers all 60 epochs: the backbone never trains"),
        (
            "train",
            "--scheduler multistep --milestones 70 80",
            "--milestones has no effect: none of the --milestones (70 80) lies",
        ),
        ("classify", "--epochs 9 --milestones 9", "--milestones has no effect: none of the --milestones (9) lies"),
        ("train", "--epochs 8", ""),  # the step of 10 is only the default
        ("train", "--epochs 8 --scheduler cosine --lr-decay-step 9", ""),
        ("train", "--lr-decay-step 59", ""),
        ("classify", "--epochs 9 --milestones 8 9", ""),
        ("classify", "--dataset imagenet --epochs 20", ""),
    ],
)
def test_what_never_comes_is_said_of_what_was_typed(program, words, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        PROGRAMS[program](words.split())
    found = [text for text in (str(item.message) for item in caught) if "never" in text]
    assert len(found) == bool(said)
    assert all(text.startswith(said) for text in found)


def test_a_data_set_s_rate_for_random_weights_is_none_for_pretrained_ones():
    random, trained = (parse_train(["--dataset", "glyphs", *words]).config for words in ((), ("--pretrained", "1")))
    assert (random.optim.lr, random.model.bn_freeze, random.optim.warm) == (5e-4, False, 0)
    assert (trained.optim.lr, trained.model.bn_freeze, trained.optim.warm) == (1e-4, True, 1)
