"""Starting from a checkpoint: what is taken, what is left, what is refused; and which checkpoint a folder means."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dml.config import ConfigWarning
from dml.models import EmbeddingNet, create_model
from dml.models.classifiers import ClassifierNet, create_classifier
from dml.models.convert import CHECKPOINT_FORMAT
from dml.models.reading import CheckpointError
from dml.models.run_checkpoint import checkpoint_file
from dml.models.start import read_start, start_from
from dml.models.weights import load_imagenet_weights
from reference_checks.networks import published_shapes, published_state

CLASSES = ("cat", "dog", "frog")


def network(**options) -> EmbeddingNet:
    return create_model("resnet18", **{"embedding_size": 8, "pretrained": False} | options)


def classifier(classes: tuple[str, ...] = CLASSES, **options) -> ClassifierNet:
    return create_classifier("resnet18", classes=classes, **options)


TWO_HEADS, UNSURE = partial(network, background_size=6), partial(network, uncertainty=True)
DEEP, SMALL_STEM = partial(network, head="mlp_bn"), partial(classifier, stem="cifar")


def saved(network: nn.Module, folder: Path, **changes: object) -> Path:
    """A checkpoint of ours."""
    content = {"model": network.state_dict(), "architecture": asdict(network.architecture), "config": {}, "epoch": 3}
    torch.save({"format": CHECKPOINT_FORMAT} | content | changes, folder / "some.pt")
    return folder / "some.pt"


def taken(model: nn.Module, source: nn.Module) -> set[str]:
    """The parts of ``model`` whose every tensor is that of ``source``."""
    ours, theirs = model.state_dict(), source.state_dict()
    parts = {name.partition(".")[0] for name in ours}
    return {
        part
        for part in parts
        if all(
            name in theirs and torch.equal(ours[name], theirs[name]) for name in ours if name.partition(".")[0] == part
        )
    }


def with_statistics(model: nn.Module) -> nn.Module:
    """The network after a batch: its running statistics are its own too."""
    model.train()(torch.randn(4, 3, 32, 32))
    return model


@pytest.mark.parametrize(
    ("source", "target", "expected", "told"),
    [
        (network, network, {"backbone", "embedding"}, "2 of the embedding head"),
        (
            network,
            partial(network, embedding_size=4),
            {"backbone"},
            "embedding head (of another size); starting anew: em",
        ),
        (network, partial(network, head="mlp"), {"backbone"}, "left: embedding head (of another size)"),
        (DEEP, DEEP, {"backbone", "embedding"}, "9 of the embedding head"),
        (TWO_HEADS, network, {"backbone", "embedding"}, "left: background head (no such head here)"),
        (network, TWO_HEADS, {"backbone", "embedding"}, "starting anew: background head"),
        (UNSURE, UNSURE, {"backbone", "embedding", "uncertainty"}, "2 of the uncertainty head"),
        (network, classifier, {"backbone"}, "left: embedding head (no such head here); starting anew: classifier"),
        (classifier, network, {"backbone"}, "left: classifier head (no such head here); starting anew: embedding"),
        (classifier, classifier, {"backbone", "classifier"}, "2 of the classifier head"),
        (classifier, partial(classifier, ("a", "b", "c")), {"backbone"}, "left: classifier head (of other classes)"),
        (classifier, partial(classifier, ("a", "b")), {"backbone"}, "left: classifier head (of another size)"),
        (
            partial(classifier, uncertainty_size=8),
            UNSURE,
            {"backbone"},
            "uncertainty head (no such head here); starting anew: embedding head, uncertainty head",
        ),
        (SMALL_STEM, SMALL_STEM, {"backbone", "classifier"}, "with the cifar stem, a classifier of 3 classes"),
    ],
)
def test_what_fits_is_taken_and_the_rest_is_told(source, target, expected, told, tmp_path):
    source, target = with_statistics(source()), target()
    start_from(target, saved(source, tmp_path))
    assert taken(target, source) == expected
    first, second = target.started_from.told.split("\n")
    assert first.startswith(f"starting from {tmp_path / 'some.pt'}: resnet18")
    assert first.endswith("checkpoint of this project, epoch 3")
    assert second.startswith("taken: 120 tensors of the backbone")
    assert told in target.started_from.told


@pytest.mark.parametrize("published", ["proxy_anchor/resnet18", "stml/resnet18"])
def test_published_checkpoints_are_taken_too(published, tmp_path):
    shapes = published_shapes()[published]
    state = published_state("A", shapes)
    torch.save({"model_state_dict": state}, tmp_path / "published.pth")
    target = network(embedding_size=64)
    start_from(target, tmp_path / "published.pth")
    head = "model.embedding_f" if published.startswith("stml") else "model.embedding"
    assert torch.equal(target.embedding.weight, state[f"{head}.weight"])
    assert torch.equal(target.backbone.layer4[1].conv2.weight, state["model.layer4.1.conv2.weight"])
    assert f"published checkpoint, taken as {published.partition('/')[0]}" in target.started_from.told
    assert ("left: background head" in target.started_from.told) == published.startswith("stml")


def test_published_names_become_ours(tmp_path):
    state = published_state("A", published_shapes()["proxy_isa/bn_inception"])
    torch.save({"model_state_dict": state}, tmp_path / "published.pth")
    target = create_model("bn_inception", embedding_size=64, pretrained=False)
    start_from(target, tmp_path / "published.pth")
    assert torch.equal(target.embedding.bias, state["embedding.bias"])
    ours = target.backbone.state_dict()["inception.4e.double_3x3.2.bn.running_var"]
    assert torch.equal(ours, state["model.inception_4e_double_3x3_2_bn.running_var"])


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (network, partial(create_model, "resnet34", pretrained=False), "holds resnet18, but resnet34 is to be trained"),
        (SMALL_STEM, network, "holds resnet18 with the cifar stem, but resnet18 is to be trained"),
        (classifier, SMALL_STEM, "holds resnet18, but resnet18 with the cifar stem is to be trained"),
    ],
)
def test_another_backbone_is_refused_and_nothing_changed(source, target, message, tmp_path):
    target = target()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(CheckpointError, match=rf"some\.pt {message}"):
        start_from(target, saved(source(), tmp_path))
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())
    assert target.started_from is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "dml-checkpoint-9"}, "dml-checkpoint-9"),
        ({"architecture": {"backbone": "vgg"}}, "vgg"),
        ({"architecture": {"backbone": "resnet18", "classes": 3}}, "its class names are no list"),
        ({"model": {"embedding.weight": torch.zeros(8, 512)}}, r"lacks conv1\.weight"),
        ({"model": None}, "expected a state dict"),
    ],
)
def test_broken_checkpoints_are_explained(changes, message, tmp_path):
    with pytest.raises(CheckpointError, match=rf"some\.pt.*{message}"):
        start_from(network(), saved(network(), tmp_path, **changes))


def test_imagenet_weights_and_checkpoints_are_told_apart(tmp_path):
    """Each is answered with the other's flag."""
    imagenet = network().backbone.state_dict()
    torch.save(imagenet, tmp_path / "imagenet.pth")
    with pytest.raises(CheckpointError, match="ImageNet weights, to train from with --weights FILE"):
        read_start(tmp_path / "imagenet.pth")
    file = saved(network(), tmp_path)
    with pytest.raises(CheckpointError, match=rf"--init-from {file} starts from it"):
        load_imagenet_weights(network().backbone, "resnet18", file)
    np.savez(tmp_path / "weights.npz", **{name: value.numpy() for name, value in imagenet.items()})
    load_imagenet_weights(network().backbone, "resnet18", tmp_path / "weights.npz")


def run_folder(folder: Path, *names: str) -> Path:
    for name in ("config.json", *names):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize(
    ("names", "chosen", "is_told"),
    [
        (("best.pt", "last.pt", "best_results.txt"), "best.pt", False),
        (("last.pt", "best_results.txt"), "last.pt", True),
        (("last.pt",), "last.pt", True),
        (("best.pt", "last.pt"), "last.pt", False),  # of images without classes: the newest counts as the best
        (("best.pt",), "best.pt", False),
    ],
)
def test_the_checkpoint_of_a_run(names, chosen, is_told, tmp_path):
    folder = run_folder(tmp_path, *names)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert checkpoint_file(folder, flag="--ckpt") == folder / chosen
    expected = [f"--ckpt {folder}: no best.pt is there, so last.pt is taken"] * is_told
    assert [(str(entry.message), entry.category) for entry in told] == [(text, ConfigWarning) for text in expected]


def test_folders_of_no_run(tmp_path):
    with pytest.raises(CheckpointError, match=f"^--ckpt {tmp_path}: neither a checkpoint nor a run folder; no config"):
        checkpoint_file(tmp_path, flag="--ckpt")
    (tmp_path / "RUN").mkdir()
    run_folder(tmp_path / "RUN")
    with pytest.raises(CheckpointError, match="but run folders such as RUN: name one of them"):
        checkpoint_file(tmp_path, flag="--ckpt")
    with pytest.raises(CheckpointError, match="no checkpoint is there; the run has not completed an epoch"):
        checkpoint_file(tmp_path / "RUN", flag="--ckpt")


def test_a_file_is_itself_whether_it_is_there_or_not(tmp_path, monkeypatch):
    assert checkpoint_file("some.pt", flag="--ckpt") == Path("some.pt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checkpoint_file("~/some.pt", flag="--ckpt") == tmp_path / "some.pt"
