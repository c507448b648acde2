"""The command line of classify.py: the published settings of each data set, and errors that say what is wrong."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from test_cli import error_of

from dml.cli.classify import OF_EVALUATION, WORDING, parse_classify
from dml.config import ConfigWarning, sections_with, train_config_from_json
from dml.config.classification import RETRIEVAL_ONLY
from dml.models.classifiers import create_classifier
from dml.models.convert import CHECKPOINT_FORMAT


def parsed(*arguments: str):
    return parse_classify(arguments).config


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_cifar_defaults_are_those_of_cutmix(dataset):
    config = parsed("--dataset", dataset, "--mix", "cutmix")
    assert (config.model.model, config.data.batch_size, config.data.crop_size) == ("pyramidnet200", 64, 32)
    assert (config.optim.lr, config.optim.weight_decay, config.optim.epochs) == (0.25, 1e-4, 300)
    assert (config.optim.scheduler, config.optim.milestones, config.optim.lr_decay_gamma) == (
        "multistep",
        (150, 225),
        0.1,
    )
    chosen = config.classification
    assert (chosen.mix_probability, chosen.mix_alpha, chosen.crop_padding) == (0.5, 1.0, 4)
    assert (chosen.introspective, chosen.introspective_tau, chosen.uncertainty_size) == (False, 5.0, 128)
    assert config.loss.loss == "cross_entropy_cutmix"


def test_imagenet_defaults():
    config = parsed("--dataset", "ImageNet", "--mix", "cutmix", "--introspective")
    assert (config.data.dataset, config.model.model, config.data.batch_size) == ("imagenet", "resnet50", 256)
    assert (config.optim.lr, config.optim.milestones) == (0.1, (75, 150, 225))
    assert (config.data.resize, config.data.crop_size, config.classification.crop_padding) == (256, 224, None)
    assert (config.classification.mix_probability, config.classification.uncertainty_size) == (1.0, 512)
    assert config.default_run_name().startswith("resnet50_introspective_cross_entropy_cutmix_lr0.1_bs256")


@pytest.mark.parametrize("model", ["resnet18", "cifar_resnet56_basic"])
def test_resnets_on_cifar_have_their_own_rate(model):
    config = parsed("--model", model)
    assert (config.data.dataset, config.optim.lr, config.data.batch_size) == ("cifar10", 0.1, 128)
    assert parsed("--model", model, "--batch-size", "32").data.batch_size == 32


@pytest.mark.parametrize(
    ("dataset", "epochs", "milestones"),
    [
        ("cifar10", 300, (150, 225)),
        ("cifar100", 90, (45, 68)),  # the first whole epochs at or after half and three quarters
        ("cifar10", 3, (2, 3)),
        ("imagenet", 300, (75, 150, 225)),
        ("imagenet", 90, (30, 60)),
        ("imagenet", 100, (30, 60, 90)),
        ("folder", 20, (10, 15)),
    ],
)
def test_milestones_follow_the_epochs(dataset, epochs, milestones):
    assert parsed("--dataset", dataset, "--epochs", str(epochs)).optim.milestones == milestones
    typed = parsed("--dataset", dataset, "--epochs", str(epochs), "--milestones", "2")
    assert typed.optim.milestones == (2,)
    assert parsed("--dataset", dataset, "--epochs", "9", "--scheduler", "cosine").optim.milestones == ()


def test_imagenet_changes_colours_and_lighting():
    chosen = {name: parsed("--dataset", name).data.augmentation for name in ("imagenet", "folder", "cifar10")}
    assert chosen == {"imagenet": "lighting", "folder": "lighting", "cifar10": "base"}


def test_help_speaks_of_classification_alone(capsys):
    with pytest.raises(SystemExit):
        parse_classify(["--help", "all"])
    text = " ".join(capsys.readouterr().out.split())
    assert "network: resnet18, resnet34, resnet50, resnet101, pyramidnet200, pyramidnetDEPTH" in text
    assert "data set: cifar10, cifar100, imagenet, folder" in text
    assert "retrieval" not in text
    fields = {item.name for section in sections_with("classification").values() for item in dataclasses.fields(section)}
    assert RETRIEVAL_ONLY | set(WORDING) | set(OF_EVALUATION) <= fields


def test_introspective_runs_warm_up_unless_told_otherwise():
    lengths = [parsed(*flags).optim.lr_warmup for flags in ([], ["--introspective"])]
    assert lengths == [0, 1]
    assert parsed("--introspective", "--lr-warmup", "0").optim.lr_warmup == 0


def test_the_json_round_trip():
    config = parsed("--introspective", "--mix", "mixup", "--mix-alpha", "0.2")
    assert train_config_from_json(config.to_json()) == config
    assert config.program == "classify.py"


def test_a_schedule_beyond_the_end():
    with pytest.warns(ConfigWarning, match="--scheduler cosine"):
        parsed("--epochs", "10", "--milestones", "10", "20")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "cub"], "unknown classification dataset 'cub'"),
        (["--model", "vgg"], "unknown classification network 'vgg'"),
        (["--model", "pyramidnet21"], "a PyramidNet's depth is 9n + 2"),
        (["--loss", "MS"], "unknown argument --loss"),
        (["--dataset", "folder", "--split", "all"], "here every class trains, and a fifth of each one's images tests"),
        (["--embedding-size", "3"], "unknown argument --embedding-size"),
        (["--mix", "cut"], "not one of none, mixup, cutmix"),
        (["--mix-alpha", "2"], "--mix-alpha is not used by --mix none, but by mixup, cutmix"),
        (["--mix", "mixup", "--mix-alpha", "0"], "--mix-alpha must be positive"),
        (["--mix", "mixup", "--mix-probability", "2"], "--mix-probability must lie in (0, 1]"),
        (["--introspective-tau", "2"], "is used by the introspective metric only: add --introspective"),
        (["--introspective", "--introspective-tau", "0"], "--introspective-tau must be positive"),
        (["--introspective", "--uncertainty-size", "0"], "--uncertainty-size must be at least 1"),
        (["--crop-padding", "-1"], "--crop-padding must be 0 or more"),
        (["--crop-scale", "0.5"], "which --crop-padding replaces"),
        (["--json", "m.json"], "--json belongs to --evaluate FILE"),
        (["--evaluate", "/nowhere.pt"], "/nowhere.pt: no such file"),
        (["--evaluate", "x.pt", "--lr", "1"], "--lr has no part in --evaluate"),
        (["--evaluate", "x.pt", "--json", "/nowhere/m.json"], "no such folder"),
    ],
)
def test_errors(capsys, arguments, message):
    assert message in error_of(capsys, *arguments, parse=parse_classify)


def test_an_evaluation_takes_its_settings_from_the_checkpoint(tmp_path):
    config = parsed("--model", "resnet18", "--data-dir", str(tmp_path), "--batch-size", "32", "--introspective")
    model = create_classifier("resnet18", classes=("a", "b"), stem="cifar", uncertainty_size=128)
    described = {"architecture": dataclasses.asdict(model.architecture), "config": json.loads(config.to_json())}
    file = tmp_path / "best.pt"
    torch.save({"format": CHECKPOINT_FORMAT, "epoch": 1, "model": model.state_dict(), **described}, file)
    command = parse_classify(["--evaluate", str(file), "--workers", "0"])
    assert command.loaded.model.architecture == model.architecture
    assert (command.config.data.batch_size, command.config.data.workers) == (32, 0)
    assert command.config.data.data_dir == str(tmp_path)
    assert command.config.data.bits is None
    other = parse_classify(["--evaluate", str(file), "--dataset", "folder"]).config
    assert (other.data.dataset, other.data.crop_size) == ("folder", 32)
    assert other.data.data_dir != str(tmp_path)


def test_an_evaluation_reads_as_many_bits_as_the_run(tmp_path):
    """A run of before they were looked for read all 16."""
    config = json.loads(parsed("--dataset", "folder", "--model", "resnet18", "--bits", "12").to_json())
    model, file = create_classifier("resnet18", classes=("a", "b"), stem="imagenet"), tmp_path / "best.pt"
    found = []
    for _ in range(2):
        described = {"architecture": dataclasses.asdict(model.architecture), "config": config}
        torch.save({"format": CHECKPOINT_FORMAT, "epoch": 1, "model": model.state_dict(), **described}, file)
        found.append(parse_classify(["--evaluate", str(file)]).config.data.bits)
        found.append(parse_classify(["--evaluate", str(file), "--dataset", "cifar10"]).config.data.bits)
        config["data"].pop("bits", None)
    assert found == [12, None, 16, None]


def test_a_checkpoint_with_damaged_settings_is_named(tmp_path, capsys):
    model, file = create_classifier("resnet18", classes=("a", "b"), stem="cifar"), tmp_path / "best.pt"
    content = {"format": CHECKPOINT_FORMAT, "epoch": 1, "architecture": dataclasses.asdict(model.architecture)}
    for config in ({}, {"data": 1}):
        torch.save(content | {"config": config, "model": model.state_dict()}, file)
        assert f"{file}: not a run's config.json" in error_of(capsys, "--evaluate", str(file), parse=parse_classify)
