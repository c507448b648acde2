"""Checkpoints, ours and published: what loads, what is inferred, what is refused."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from dml.models import Architecture, create_model, load_model_checkpoint
from dml.models.convert import CHECKPOINT_FORMAT
from dml.models.reading import CheckpointError
from dml.registry import UnknownNameError
from reference_checks.networks import published_shapes

# What each published network must be recognised as, beyond Architecture's defaults.
PUBLISHED = {
    "proxy_anchor/bn_inception": {},
    "proxy_anchor/googlenet": {"norm": "n_eps_1e-5"},
    "proxy_anchor/resnet50": {},
    "proxy_anchor/resnet18": {},
    "proxy_isa/bn_inception": {"pooling": "avg", "system": "proxy_isa"},
    "stml/bn_inception": {"system": "stml", "background_size": 96, "l2_norm": False},
    "stml/googlenet": {
        "backbone": "inception_v1",
        "system": "stml",
        "background_size": 96,
        "l2_norm": False,
        "norm": "n_eps_1e-5",
    },
    "stml/resnet18": {"system": "stml", "background_size": 96, "l2_norm": False},
    "idml/resnet50": {"system": "idml", "uncertainty": True, "uncertainty_norm": True},
}
UNUSED = ("model.fc.", "model.last_linear.", "model.aux")


def numbered_state(network: str) -> dict[str, torch.Tensor]:
    """The network's published state dict, tensor number i filled with i."""
    return {key: torch.full(shape, float(i)) for i, (key, shape) in enumerate(published_shapes()[network].items())}


def saved(content: object, folder: Path) -> Path:
    torch.save(content, folder / "checkpoint.pth")
    return folder / "checkpoint.pth"


@pytest.mark.parametrize("network", PUBLISHED)
def test_published_layouts_fill_every_tensor(network, tmp_path):
    state = numbered_state(network)
    path = saved({"model_state_dict": state}, tmp_path)
    loaded = load_model_checkpoint(path)
    path.unlink()  # up to 100 MB each

    expected = {"backbone": network.split("/")[1], "embedding_size": 64, "system": "proxy_anchor"}
    assert loaded.architecture == Architecture(**expected | PUBLISHED[network])
    used = {value.flatten()[0].item() for key, value in state.items() if not key.startswith(UNUSED)}
    ours = loaded.model.state_dict()
    assert all((value == value.flatten()[0]).all() for value in ours.values())
    assert sorted(value.flatten()[0].item() for value in ours.values()) == sorted(used)
    assert not loaded.model.training
    assert all(word in loaded.description for word in (loaded.architecture.backbone, loaded.architecture.system))


def test_label_relaxation_shares_proxy_anchors_keys_and_can_be_named(tmp_path):
    path = saved({"model_state_dict": numbered_state("label_relaxation/resnet18")}, tmp_path)
    assert load_model_checkpoint(path).architecture.l2_norm
    named = load_model_checkpoint(path, system="label_relaxation").architecture
    assert (named.l2_norm, named.norm) == (False, "n_clamp")
    with pytest.raises(CheckpointError, match=r"not a checkpoint of stml.*background"):
        load_model_checkpoint(path, system="stml")
    with pytest.raises(UnknownNameError, match="label_relaxation"):
        load_model_checkpoint(path, system="relaxation")


@pytest.mark.parametrize("wrap", ["bare", "data parallel", "without model."])
def test_wrappings_make_no_difference(wrap, tmp_path):
    state = numbered_state("proxy_anchor/resnet18")
    if wrap == "data parallel":
        state = {"model_state_dict": {f"module.{key}": value for key, value in state.items()}}
    elif wrap == "without model.":
        state = {key.removeprefix("model."): value for key, value in state.items()}
    loaded = load_model_checkpoint(saved(state, tmp_path))
    assert loaded.architecture.backbone == "resnet18"
    assert loaded.architecture.pooling == "avg_max"


@pytest.mark.parametrize("name", ["resnet34", "resnet101"])
def test_resnets_without_published_vectors_are_told_apart(name, tmp_path):
    model = create_model(name, embedding_size=8, pretrained=False)
    state = {key.replace("backbone.", "model."): value for key, value in model.state_dict().items()}
    state |= {f"model.embedding.{p}": state.pop(f"embedding.{p}") for p in ("weight", "bias")}
    assert load_model_checkpoint(saved(state, tmp_path)).architecture.backbone == name


def our_checkpoint(**changes: object) -> dict[str, object]:
    torch.manual_seed(0)
    model = create_model(
        "resnet18", embedding_size=8, pretrained=False, pooling="avg", norm="n_clamp", background_size=4
    )
    return {
        "format": CHECKPOINT_FORMAT,
        "model": model.state_dict(),
        "architecture": dataclasses.asdict(model.architecture),
        "config": {"seed": 3},
        "epoch": 5,
        "metrics": {"recall_at_1": 0.5},
    } | changes


def test_our_format_round_trips(tmp_path):
    content = our_checkpoint()
    loaded = load_model_checkpoint(saved(content, tmp_path))
    assert dataclasses.asdict(loaded.architecture) == content["architecture"]
    assert (loaded.config, loaded.epoch, loaded.metrics) == ({"seed": 3}, 5, {"recall_at_1": 0.5})
    ours = loaded.model.state_dict()
    assert list(ours) == list(content["model"])
    assert all(torch.equal(ours[key], value) for key, value in content["model"].items())
    assert "epoch 5" in loaded.origin


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "dml-checkpoint-9"}, "dml-checkpoint-9"),
        ({"architecture": {"backbone": "vgg"}}, "vgg"),
        ({"architecture": {"depth": 3}}, "depth"),
        ({"architecture": None}, "architecture"),
        ({"model": {"x": torch.zeros(1)}}, r"lacks backbone\.conv1\.weight"),
        ({"model": None}, r"expected a state dict.*None"),
        ({"model": {}}, "expected a state dict"),
    ],
)
def test_broken_checkpoints_of_ours_are_explained(changes, message, tmp_path):
    with pytest.raises(CheckpointError, match=message):
        load_model_checkpoint(saved(our_checkpoint(**changes), tmp_path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pth: no such file"):
        load_model_checkpoint(tmp_path / "none.pth")


class Malicious:
    """Makes a folder when unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_code_in_a_pickle_is_refused_and_never_run(writer, tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.pth"
    content = {"model_state_dict": Malicious(marker)}
    if writer == "torch":
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError, match=r"evil\.pth: refused.*can run code"):
        load_model_checkpoint(path)
    assert not marker.exists()


def test_arrays_of_numpy_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="refused"):
        load_model_checkpoint(saved({"conv1": np.zeros(3)}, tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
        (b"\n <html>", "a web page"),
        (b"GIF89a", "GIF89a"),
        (b"", "something else"),
        (b"PK\x03\x04 cut short", "damaged"),
        (b"\x80\x02", "a bare pickle"),
        (pickle.dumps(torch.serialization.MAGIC_NUMBER, protocol=2), "damaged"),
    ],
)
def test_files_of_other_kinds_are_explained(content, message, tmp_path):
    path = tmp_path / "download.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"download\.pth: .*{message}"):
        load_model_checkpoint(path)


def test_foreign_weights_are_explained(tmp_path):
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv1\.weight.*found blocks\.0\.attn"):
        load_model_checkpoint(saved({"blocks.0.attn": torch.zeros(2), "head.weight": torch.zeros(2, 2)}, tmp_path))
    with pytest.raises(CheckpointError, match=r"expected a dictionary.*list"):
        load_model_checkpoint(saved([torch.zeros(2)], tmp_path))
    with pytest.raises(CheckpointError, match=r"name → tensor.*found epoch"):
        load_model_checkpoint(saved({"epoch": 3}, tmp_path))


def test_published_files_that_do_not_fit_name_the_tensors(tmp_path):
    state = numbered_state("proxy_anchor/resnet18")
    with pytest.raises(CheckpointError, match=r"which the network does not have"):
        load_model_checkpoint(saved(state | {"model.gem.p": torch.zeros(1)}, tmp_path))
    with pytest.raises(CheckpointError, match=r"conv1\.weight \(64, 1, 7, 7\) instead of \(64, 3, 7, 7\)"):
        load_model_checkpoint(saved(state | {"model.conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path))
    with pytest.raises(CheckpointError, match=r"embedding\.weight has shape \(64,\)"):
        load_model_checkpoint(saved(state | {"model.embedding.weight": torch.zeros(64)}, tmp_path))
    imagenet = {key: value for key, value in state.items() if "embedding" not in key}
    with pytest.raises(CheckpointError, match=r"without an embedding head.*--weights FILE"):
        load_model_checkpoint(saved(imagenet, tmp_path))


def test_a_byte_that_flipped_is_found(tmp_path):
    """A flipped bit of a weight is a weight: only the checksums tell."""
    file = tmp_path / "flipped.pth"
    torch.save({"weight": torch.full((1000,), 0.5)}, file)
    content = bytearray(file.read_bytes())
    content[content.index(torch.full((4,), 0.5).numpy().tobytes()) + 3] ^= 1
    file.write_bytes(content)
    assert torch.load(file, weights_only=True)["weight"][0] != 0.5
    with pytest.raises(
        CheckpointError, match=r"flipped\.pth: damaged or incomplete: the checksum of flipped/data/0 is wrong"
    ):
        load_model_checkpoint(file)
