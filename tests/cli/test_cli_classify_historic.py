"""The flags of CutMix's code, in which the introspective paper's commands are printed, and what they mean here."""

from __future__ import annotations

import pytest
import torch
from test_cli import error_of
from test_cli_classify import parsed

from dml.cli.classify import parse_classify
from dml.config import ConfigWarning
from dml.methods.base import ParamGroup
from dml.training.optim import create_optimizer

IMAGENET = (
    "--net_type resnet --dataset imagenet --batch_size 256 --lr 0.1 --depth 50 --epochs 300 --expname ResNet50 -j 40"
    " --beta 1.0 --cutmix_prob {} --no-verbose"
)
CIFAR = (
    "--net_type pyramidnet --dataset {} --depth 200 --alpha 240 --batch_size 64 --lr 0.25 --expname PyraNet200"
    " --epochs 300 --beta 1.0 --cutmix_prob {} --no-verbose"
)
PUBLISHED = [
    (IMAGENET.format("1.0"), "imagenet", ("cutmix", 1.0, 1.0)),
    (IMAGENET.format("0"), "imagenet", ("none", 1.0, 1.0)),
    (CIFAR.format("cifar10", "0.5"), "cifar10", ("cutmix", 1.0, 0.5)),
    (CIFAR.format("cifar10", "0"), "cifar10", ("none", 1.0, 1.0)),
    (CIFAR.format("cifar100", "0.5"), "cifar100", ("cutmix", 1.0, 0.5)),
    (CIFAR.format("cifar100", "0"), "cifar100", ("none", 1.0, 1.0)),
]


@pytest.mark.parametrize("introspective", [False, True])
@pytest.mark.parametrize(("command", "dataset", "mix"), PUBLISHED)
def test_the_printed_commands(command, dataset, mix, introspective, recwarn):
    config = parsed(*command.split(), *["--introspective"] * introspective)
    chosen, optim = config.classification, config.optim
    assert (chosen.mix, chosen.mix_alpha, chosen.mix_probability) == mix
    assert chosen.introspective == introspective
    assert (config.data.dataset, optim.epochs, optim.weight_decay, optim.sgd_momentum) == (dataset, 300, 1e-4, 0.9)
    if dataset == "imagenet":
        assert (config.model.model, config.run.run_name, config.data.workers) == ("resnet50", "ResNet50", 40)
        assert (config.data.batch_size, optim.lr, optim.milestones) == (256, 0.1, (75, 150, 225))
        assert chosen.uncertainty_size == 512
    else:
        assert (config.model.model, config.run.run_name, config.data.workers) == ("pyramidnet200", "PyraNet200", 4)
        assert (config.data.batch_size, optim.lr, optim.milestones) == (64, 0.25, (150, 225))
        assert chosen.uncertainty_size == 128
    assert not recwarn.list


@pytest.mark.parametrize(("command", "dataset", "mix"), PUBLISHED)
def test_the_printed_commands_are_our_defaults(command, dataset, mix):
    """Every setting that they type is what the data set brings here, but for the workers and the name."""
    kind = ["--mix", "cutmix"] if mix[0] == "cutmix" else []
    ours = parsed("--dataset", dataset, *kind, "--run-name", "x", "--workers", "4")
    assert parsed(*command.split(), "--run-name", "x", "--workers", "4") == ours


@pytest.mark.parametrize(
    ("typed", "model"),
    [
        ("--net-type pyramidnet --depth 110 --alpha 84 --no-bottleneck", "pyramidnet110_alpha84_basic"),
        ("--depth 110", "pyramidnet110_alpha300"),  # that code's own defaults
        ("--no_bottleneck", "pyramidnet32_alpha300_basic"),
        ("--net_type resnet --depth 164", "cifar_resnet164"),
        ("--net_type resnet --no-bottleneck", "cifar_resnet32_basic"),
        ("--net_type resnet --depth 101 --dataset imagenet", "resnet101"),
        ("--net_type resnet --depth 18 --dataset folder", "resnet18"),
        ("--net_type pyramidnet --depth 200 --alpha 240 --model pyramidnet200", "pyramidnet200"),
    ],
)
def test_networks(typed, model):
    assert parsed(*typed.split()).model.model == model


def test_other_spellings():
    typed = "-b 32 -j 0 --learning_rate 0.3 --wd 0 --momentum 0.8 -p 10 --print-freq 1 --no_verbose"
    config = parsed(*typed.split())
    assert (config.data.batch_size, config.data.workers, config.optim.lr) == (32, 0, 0.3)
    assert config.optim.weight_decay == 0
    group = ParamGroup("network", [torch.nn.Parameter(torch.zeros(1))])
    assert create_optimizer([group], config.optim).param_groups[0]["momentum"] == 0.8
    assert parsed("--learning-rate", "0.3", "--lr", "0.2").optim.lr == 0.2  # the last counts
    modern = "--mix cutmix --mix-alpha 1 --mix-probability 0.5 --beta 1 --cutmix_prob 0.5"
    assert parsed(*modern.split()).classification.mix_probability == 0.5


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--net_type resnet --depth 164 --alpha 84", "--alpha has no effect with --net-type resnet"),
        ("--net_type resnet --depth 18 --no-bottleneck --dataset folder", "--no-bottleneck has no effect .* CIFAR"),
    ],
)
def test_what_a_resnet_does_not_use(typed, message):
    with pytest.warns(ConfigWarning, match=message):
        parsed(*typed.split())


@pytest.mark.parametrize("half", ["--beta 1", "--cutmix_prob 0.5"])
def test_half_of_cutmix_mixes_nothing(half):
    with pytest.warns(ConfigWarning, match="without both --beta and --cutmix_prob"):
        assert parsed(*half.split()).classification.mix == "none"


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (
            "--beta 1 --cutmix_prob 0.5 --mix mixup",
            "--beta --cutmix-prob would be --mix cutmix, but --mix mixup is given",
        ),
        ("--beta 1 --cutmix_prob 0.5 --mix-probability 1", "would be --mix-probability 0.5"),
        ("--beta 1 --cutmix_prob 0 --mix cutmix", "would be --mix none"),
        ("--beta 1 --cutmix_prob 2", "--cutmix_prob must lie in 0..1, got 2.0"),
        ("--beta -1 --cutmix_prob 1", "--beta must be 0 or more, got -1.0"),
        ("--depth 110 --alpha 84 --model resnet18", "would be --model pyramidnet110_alpha84, but --model resnet18"),
        ("--net_type vgg", "choose from"),
        ("--net_type pyramidnet --depth 32", "9n + 2 with bottlenecks, with n of at least 1; got 32"),
        ("--net_type pyramidnet --depth 200 --alpha 0.5", "--alpha must be at least 1, got 0.5"),
        ("--net_type resnet --depth 152 --dataset imagenet", "Valid: resnet18, resnet34, resnet50, resnet101"),
        ("--net_type pyramidnet --depth 200 --dataset imagenet", "elsewhere give --net_type resnet"),
        ("--momentum 0", "add --nesterov 0"),
        ("--momentum 1", "--momentum must lie in [0, 1), got 1.0"),
        ("--evaluate x.pt --depth 200", "--depth has no part in --evaluate"),
    ],
)
def test_errors(capsys, typed, message):
    assert message in error_of(capsys, *typed.split(), parse=parse_classify)


def test_help_says_what_is_the_same_and_what_is_without_effect(capsys):
    with pytest.raises(SystemExit):
        parse_classify(["--help", "all"])
    text = " ".join(capsys.readouterr().out.split())
    assert "with --introspective added, the introspective paper's commands run as printed" in text
    assert "of no effect: steps are not printed" in text
