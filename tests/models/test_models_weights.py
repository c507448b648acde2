"""ImageNet weights: downloads, local files, refusals."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
from torchvision import models

from dml.models import create_model
from dml.models.reading import CheckpointError
from dml.models.weights import URLS, WeightsError
from reference_checks.networks import published_shapes


def imagenet_state(network: str) -> dict[str, torch.Tensor]:
    """A random state dict in the layout of the network's ImageNet file: no ``model.``, no head."""
    generator = torch.Generator().manual_seed(0)
    return {
        key.removeprefix("model."): torch.rand(shape, generator=generator)
        for key, shape in published_shapes()[network].items()
        if "embedding" not in key
    }


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for downloads."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


def served(state: dict[str, torch.Tensor], folder: Path, *, digest: str | None = None) -> str:
    """A URL of a file with ``state``, its hash in its name as published files have it."""
    file = folder / "file.pth"
    torch.save(state, file)
    digest = digest or hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    return file.rename(folder / f"net-{digest}.pth").as_uri()


def test_every_address_carries_a_hash():
    torchvision = {"MobileNet_V2", "MobileNet_V3_Small", "MobileNet_V3_Large", "ConvNeXt_Tiny", "ViT_B_16"}
    torchvision |= {"GoogLeNet", "ResNet18", "ResNet34", "ResNet50", "ResNet101"}
    assert set(URLS) == {"bn_inception", *map(str.lower, torchvision)}
    assert all(re.search(r"-[0-9a-f]{8,}\.pth$", url) for url in URLS.values())
    for weights in torchvision:
        assert URLS[weights.lower()] == models.get_weight(f"{weights}_Weights.IMAGENET1K_V1").url


def test_a_download_fills_the_backbone_and_leaves_the_head(tmp_path, hub, monkeypatch):
    state = imagenet_state("proxy_anchor/resnet18")
    monkeypatch.setitem(URLS, "resnet18", served(state, tmp_path))
    torch.manual_seed(0)
    model = create_model("resnet18", embedding_size=8)
    assert torch.equal(model.backbone.layer4[1].conv2.weight, state["layer4.1.conv2.weight"])
    torch.manual_seed(0)
    assert torch.equal(
        model.embedding.weight, create_model("resnet18", embedding_size=8, pretrained=False).embedding.weight
    )


@pytest.mark.parametrize("fault", ["no server", "wrong hash"])
def test_a_failed_download_says_what_to_do(fault, tmp_path, hub, monkeypatch):
    url = "http://127.0.0.1:9/resnet18-f37072fd.pth"
    if fault == "wrong hash":
        url = served(imagenet_state("proxy_anchor/resnet18"), tmp_path, digest="00000000")
    monkeypatch.setitem(URLS, "resnet18", url)
    with pytest.raises(WeightsError) as caught:
        create_model("resnet18")
    message = str(caught.value)
    assert all(word in message for word in (url, str(hub), "--weights FILE", "--pretrained 0"))


@pytest.mark.parametrize("left", [0, 100, -100], ids=["empty", "beginning", "cut off"])
def test_a_damaged_file_in_the_cache_is_named(left, tmp_path, hub, monkeypatch):
    url = served(imagenet_state("proxy_anchor/resnet18"), tmp_path)
    monkeypatch.setitem(URLS, "resnet18", url)
    hub.mkdir(parents=True)
    cached = hub / url.rpartition("/")[2]
    cached.write_bytes(Path(url.removeprefix("file://")).read_bytes()[:left])
    with pytest.raises(WeightsError, match=f"{cached} cannot be read .*Remove that file, or pass --weights FILE"):
        create_model("resnet18")


def test_a_network_without_address_says_what_to_do():
    with pytest.raises(WeightsError, match=r"--weights FILE \(inception\.pth, .*STML.*--pretrained 0"):
        create_model("inception_v1")


@pytest.mark.parametrize(
    ("name", "network", "published", "ours"),
    [
        ("resnet18", "proxy_anchor/resnet18", "layer1.0.conv1.weight", "layer1.0.conv1.weight"),
        ("googlenet", "proxy_anchor/googlenet", "conv1.bn.weight", "conv1.bn.weight"),
        (
            "bn_inception",
            "proxy_anchor/bn_inception",
            "inception_4e_double_3x3_2_bn.running_var",
            "inception.4e.double_3x3.2.bn.running_var",
        ),
        (
            "inception_v1",
            "stml/googlenet",
            "features.inception_5b.d.pool_proj.bias",
            "inception.5b.pool.1.conv.bias",
        ),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_local_files_of_every_layout_load(name, network, published, ours, wrapped, tmp_path):
    state = imagenet_state(network)
    file = tmp_path / "weights.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}} if wrapped else state, file)
    model = create_model(name, weights=file)
    assert torch.equal(model.backbone.state_dict()[ours], state[published])


def test_bn_inception_parameters_of_shape_1_c_are_squeezed(tmp_path):
    state = imagenet_state("proxy_anchor/bn_inception")
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    old = {key: value[None] if value.ndim == 1 else value for key, value in state.items()}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    model = create_model("bn_inception", weights=tmp_path / "old.pth")
    assert torch.equal(model.backbone.conv1.bn.running_mean, state["conv1_7x7_s2_bn.running_mean"])


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    file = tmp_path / "resnet18.pth"
    state = imagenet_state("proxy_anchor/resnet18")
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"resnet18\.pth.*lacks layer1\.2\.conv1\.weight"):
        create_model("resnet34", weights=file)
    del state["layer2.0.conv1.weight"]
    torch.save(state, file)
    with pytest.raises(CheckpointError, match=r"lacks layer2\.0\.conv1\.weight"):
        create_model("resnet18", weights=file)


def test_weights_without_pretrained_are_a_contradiction(tmp_path):
    with pytest.raises(ValueError, match="add --pretrained 1, or leave out --weights"):
        create_model("resnet18", pretrained=False, weights=tmp_path / "file.pth")
