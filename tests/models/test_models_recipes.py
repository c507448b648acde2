"""What of a network depends on whose recipe trains it: the pace of its running statistics, its norm, its start."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import TrainConfig, train_config_from_json
from dml.methods.student import create_student, create_teacher
from dml.models import EmbeddingNet, model_from_config

PARSERS = {"train": parse_train, "target": parse_target, "main": parse_stml}
SMALL = ["--pretrained", "0", "--embedding-size", "8", "--bn-freeze", "0"]


def config_of(program: str, *arguments: str) -> TrainConfig:
    """Of a command line; ``program`` is a key of ``PARSERS``."""
    source = ["--source-ckpt", "source.pth"] if program == "target" else []
    return PARSERS[program]([*source, *SMALL, *arguments]).config


def network_of(config: TrainConfig) -> EmbeddingNet:
    """The network that a run trains."""
    torch.manual_seed(0)
    if config.self_taught is not None:
        return create_student(config, continued=False)
    return model_from_config(config.model, introspective=config.introspective)


def case(value: object) -> str:
    """The name of a test's argument."""
    return " ".join(value) if isinstance(value, tuple) else str(value)


WHOSE = [
    (("train", "--loss", "Proxy_Anchor"), 0.9),
    (("train", "--loss", "MS"), 0.9),
    (("train", "--loss", "ProxyNCA"), 0.9),  # Proxy-ISA's
    (("train", "--loss", "Proxy_Anchor", "--as-source"), 0.9),
    (("target",), 0.9),
    (("main",), 0.9),
    (("main", "--method", "byol"), 0.9),
    (("train", "--loss", "triplet"), 0.1),  # LSD's
    (("train", "--loss", "Proxy_Anchor", "--introspective"), 0.1),  # IDML's files have no BN-Inception
    (("train", "--loss", "Proxy_Anchor", "--bn-momentum", "0.25"), 0.25),
]


@pytest.mark.parametrize(("words", "momentum"), WHOSE, ids=case)
def test_the_momentum_of_bn_inception_s_running_statistics_is_its_system_s(words, momentum):
    config = config_of(*words, "--model", "bn_inception")
    assert config.model.bn_momentum == momentum
    assert json.loads(config.to_json())["model"]["bn_momentum"] == momentum


@pytest.mark.parametrize(
    ("words", "momentum"),
    [(("train", "--loss", "Proxy_Anchor"), 0.9), (("train", "--loss", "triplet"), 0.1), (("main",), 0.9)],
    ids=case,
)
def test_running_statistics_after_three_steps(words, momentum):
    network = network_of(config_of(*words, "--model", "bn_inception"))
    norms = [module for module in network.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {momentum}
    first, seen = network.backbone.conv1, []
    first.conv.register_forward_hook(lambda module, inputs, maps: seen.append(maps.detach().double().clone()))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    mean, variance = torch.zeros(64, dtype=torch.double), torch.ones(64, dtype=torch.double)
    network.train()
    for step in range(3):
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(step)) * 20
        network(images).embedding[:, 0].sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = (1 - momentum) * mean + momentum * seen[step].mean((0, 2, 3))
        variance = (1 - momentum) * variance + momentum * seen[step].var((0, 2, 3))
    torch.testing.assert_close(first.bn.running_mean.double(), mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(first.bn.running_var.double(), variance, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
@pytest.mark.parametrize("words", [words for words, momentum in WHOSE if momentum == 0.9][::2], ids=" ".join)
def test_other_networks_have_torch_s_momentum(words, name):
    model = {"main": "resnet18"}.get(words[0], name)  # train_stml.py's googlenet has no batch normalisation
    assert config_of(*words, "--model", model).model.bn_momentum == 0.1


def test_the_teacher_s_statistics_keep_pace_with_the_student_s():
    config = config_of("main", "--method", "moco", "--model", "resnet18", "--bn-momentum", "0.3")
    teacher = create_teacher(config, network_of(config))
    assert {m.momentum for m in teacher.modules() if isinstance(m, nn.BatchNorm2d)} == {0.3}


@pytest.mark.parametrize("spelling", ["bn_inception", "bninception"])
def test_both_spellings_of_a_backbone_bring_its_defaults(spelling):
    model = config_of("train", "--loss", "ProxyNCA", "--model", spelling).model
    assert (model.model, model.bn_momentum, model.pooling) == ("bn_inception", 0.9, "avg")


@pytest.mark.parametrize(
    ("words", "norm"),
    [
        (("train", "--loss", "Proxy_Anchor", "--model", "resnet50"), "n_eps"),
        (("train", "--loss", "Proxy_Anchor", "--model", "googlenet"), "n_eps_1e-5"),
        (("train", "--loss", "ProxyAnchor", "--model", "googlenet"), "n_eps_1e-5"),
        (("train", "--loss", "Proxy_Anchor", "--model", "googlenet", "--introspective"), "n_eps"),
        (("train", "--loss", "triplet", "--arch", "googlenet_normalize"), "n_clamp"),
        (("target", "--model", "resnet18", "--target-norm", "1"), "n_clamp"),
        (("main", "--model", "googlenet"), "n_eps_1e-5"),
        (("main", "--arch", "googlenet"), "n_eps_1e-5"),
        (("main", "--model", "inception_v1", "--method", "byol"), "n_eps_1e-5"),
        (("main", "--model", "resnet18"), "n_eps"),
        (("train", "--loss", "Proxy_Anchor", "--model", "googlenet", "--norm-convention", "n_eps"), "n_eps"),
    ],
    ids=case,
)
def test_how_embeddings_come_to_unit_length(words, norm):
    assert config_of(*words).model.norm_convention == norm


@pytest.mark.parametrize("program", PARSERS)
def test_the_network_has_the_norm_that_is_asked_for(program):
    config = config_of(program, "--model", "resnet18", "--norm-convention", "n_eps_1e-5", "--l2-norm", "1")
    assert network_of(config).architecture.norm == "n_eps_1e-5"


def without(config: TrainConfig, *names: str) -> str:
    """Its config.json as it was before there were these settings of the network."""
    stored = json.loads(config.to_json())
    for name in names:
        del stored["model"][name]
    return json.dumps(stored)


@pytest.mark.parametrize(
    ("words", "momentum", "norm"),
    [
        (("train", "--model", "bn_inception"), 0.1, "n_eps"),
        (("train", "--model", "googlenet"), 0.1, "n_eps"),
        (("main", "--model", "googlenet"), 0.1, "n_eps_1e-5"),
    ],
    ids=case,
)
def test_a_run_from_before_these_settings_is_continued_as_it_began(words, momentum, norm):
    older = train_config_from_json(without(config_of(*words), "bn_momentum", "norm_convention"))
    assert (older.model.bn_momentum, older.model.norm_convention) == (momentum, norm)


def test_the_uncertainty_head_starts_as_torch_s_layers_do():
    """Of the draws that the published code makes: embedding, uncertainty, and the embedding once more."""
    model = network_of(config_of("train", "--model", "resnet18", "--introspective"))
    torch.manual_seed(0)
    type(model.backbone)(depth=18)
    nn.Linear(512, 8)
    uncertainty, embedding = nn.Linear(512, 8), nn.Linear(512, 8)
    torch.manual_seed(0)
    type(model.backbone)(depth=18)
    nn.Linear(512, 8), nn.Linear(512, 8)
    nn.init.kaiming_normal_(embedding.weight, mode="fan_out")
    assert torch.equal(model.uncertainty.weight, uncertainty.weight)
    assert torch.equal(model.uncertainty.bias, uncertainty.bias)
    assert torch.equal(model.embedding.weight, embedding.weight)
    assert not model.embedding.bias.any()
