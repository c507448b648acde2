"""How networks lie in memory: which, and that they compute the same."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dml.cli.train import parse_train
from dml.config import train_config_from_json
from dml.errors import Note
from dml.methods.base import Given
from dml.methods.build import build_method
from dml.models import create_model
from dml.models.memory_format import best_memory_format, lay_out, recorded_memory_format
from dml.training.layout import avoid_broken_kernels, with_memory_format
from methods.test_steps_of_two_processes import RECORDS

CPU, GPU = torch.device("cpu"), torch.device("cuda")
SMALL = ("--pretrained", "0", "--embedding-size", "8", "--batch-size", "6")


@pytest.mark.parametrize(
    ("name", "device", "mixed", "expected"),
    [
        ("resnet18", CPU, False, "contiguous"),
        ("bn_inception", CPU, False, "contiguous"),
        ("resnet18", CPU, True, "channels_last"),
        ("resnet18", GPU, False, "contiguous"),
        ("resnet18", GPU, True, "channels_last"),
        ("resnet18", torch.device("mps"), True, "contiguous"),
        ("mobilenet_v2", CPU, False, "channels_last"),
        ("mobilenet_v2", GPU, False, "contiguous"),
        ("vit_b_16", CPU, True, "contiguous"),
    ],
)
def test_the_best(name, device, mixed, expected):
    with torch.device("meta"):
        network = create_model(name, pretrained=False, embedding_size=8)
    assert best_memory_format(network, device, mixed=mixed) == expected


def test_the_same_in_another_order():
    torch.manual_seed(0)
    network, images = create_model("resnet18", pretrained=False, embedding_size=8).eval(), torch.randn(2, 3, 32, 32)
    plain = network(images).embedding
    lay_out(network, "channels_last")
    assert network.backbone(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(network(images).embedding, plain, atol=1e-5, rtol=1e-4)
    lay_out(network, "contiguous")
    assert torch.equal(network(images).embedding, plain)


def test_a_network_that_lays_its_images_out_itself():
    torch.manual_seed(0)
    network = create_model("mobilenet_v3_small", pretrained=False, embedding_size=8).eval()
    images, embeddings = torch.randn(4, 3, 32, 32), []
    for memory_format in ("contiguous", "channels_last"):
        lay_out(network, memory_format)
        assert network.backbone(images).is_contiguous(memory_format=torch.channels_last)
        embeddings.append(network(images).embedding)
    torch.testing.assert_close(*embeddings, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--model", "mobilenet_v2"), "channels_last"),
        (("--model", "mobilenet_v2", "--memory-format", "contiguous"), "contiguous"),
        (("--model", "resnet18"), "contiguous"),
        (("--model", "resnet18", "--precision", "bf16-mixed"), "channels_last"),
        (("--model", "resnet18", "--memory-format", "channels_last", "--loss", "triplet_lsd"), "channels_last"),
    ],
)
def test_a_run_lays_out_all_its_networks_and_records_it(flags, expected):
    config = parse_train([*SMALL, *flags]).config
    model = create_model(config.model.model, pretrained=False, embedding_size=8)
    method = build_method(Given(config, model, RECORDS))
    settled = with_memory_format(config, method, CPU)
    assert settled.run.memory_format == expected
    assert train_config_from_json(settled.to_json()).run.memory_format == expected
    assert len(method.networks()) == 1 + ("triplet_lsd" in flags)
    for network in method.networks():
        weight = next(weight for weight in network.parameters() if weight.ndim == 4 and weight.shape[-1] > 1)
        assert weight.is_contiguous() == (expected == "contiguous")


def test_runs_from_before_go_on_as_they_were():
    config = parse_train([*SMALL, "--model", "mobilenet_v2"]).config
    assert config.run.memory_format == "auto"
    stored = config.to_json().replace('  "memory_format": "auto",\n', "")
    assert "memory_format" not in stored
    assert train_config_from_json(stored).run.memory_format == "contiguous"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (None, "contiguous"),
        ({}, "contiguous"),
        ({"run": {}}, "contiguous"),
        ({"run": {"memory_format": "channels_last"}}, "channels_last"),
    ],
)
def test_what_a_checkpoint_says(config, expected):
    assert recorded_memory_format(config) == expected


@pytest.mark.parametrize(
    ("name", "device", "stays"),
    [("timm/fastvit_t8.apple_in1k", CPU, False), ("resnet18", CPU, True), ("timm/fastvit_t8", GPU, True)],
)
def test_onednn_is_off_where_it_would_corrupt_memory(name, device, stays, recwarn):
    method = SimpleNamespace(model=SimpleNamespace(architecture=SimpleNamespace(backbone=name)))
    with torch.backends.mkldnn.flags(enabled=True):
        avoid_broken_kernels(method, device)
        assert torch.backends.mkldnn.enabled == stays
    assert sum(warning.category is Note for warning in recwarn) == (not stays)
