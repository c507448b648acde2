"""Published weights under either code's names: the same features, a classifier left out, other networks refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from dml.data.transforms import eval_transform
from dml.models import EmbeddingNet, create_model
from dml.models.reading import CheckpointError
from dml.models.weight_names import renamed_in_order

timm = pytest.importorskip("timm")
STAGES = ((8, 16, 1), (16, 16, 1), (16, 16, 1), (16, None, 2))
WEIGHTS = os.environ.get("DML_TEST_WEIGHTS")
"""A folder with mobilenet_v2.pth (torchvision's names) and tf_efficientnet_lite0.pth (timm's), trained on ImageNet."""


def saved(network: nn.Module, path: Path) -> Path:
    """Its state in a file, with statistics that make a difference."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.save(network.state_dict(), path)
    return path


def features(model: EmbeddingNet, side: int = 64) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))).features


@pytest.mark.parametrize("kind", ["v2", "v3_small", "v3_large"])
def test_mobilenets_of_one_code_load_under_the_other_s_names(kind, tmp_path):
    ours, theirs = f"mobilenet_{kind}", f"timm/mobilenet{kind.replace('_', '') if kind == 'v2' else kind}_100"
    torch.manual_seed(0)
    file = saved(getattr(models, ours)(), tmp_path / "torchvision.pth")
    ours, theirs = create_model(ours, weights=file), create_model(theirs, weights=file, pooling="avg")
    assert "names are those of another code" in theirs.started_from.told
    for told in (ours.started_from.told, theirs.started_from.told):
        assert "its classifier left out: classifier." in told
    state = {key: value for key, value in ours.backbone.state_dict().items() if "num_batches" not in key}
    given = [value for key, value in theirs.backbone.state_dict().items() if "num_batches" not in key]
    assert all(torch.equal(mine, other) for mine, other in zip(state.values(), given, strict=False))
    if kind == "v2":  # V3 has another epsilon in timm
        torch.testing.assert_close(features(ours), features(theirs), rtol=1e-4, atol=1e-5)
    back = saved(theirs.backbone.network, tmp_path / "timm.pth")
    again = create_model(f"mobilenet_{kind}", weights=back)
    assert "names are those of another code" in again.started_from.told
    if kind == "v2":
        torch.testing.assert_close(features(again), features(theirs), rtol=1e-4, atol=1e-5)


def test_small_relatives_of_the_large_networks():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 64, 64)
    pairs = [
        (
            models.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=3),
            timm.models.VisionTransformer(64, 16, embed_dim=32, depth=2, num_heads=2, mlp_ratio=2, num_classes=3),
        ),
        (
            models.ConvNeXt([CNBlockConfig(*sizes) for sizes in STAGES], num_classes=3),
            timm.models.ConvNeXt(depths=(1, 1, 1, 2), dims=(8, 16, 16, 16), num_classes=3),
        ),
    ]
    for given, taking in pairs:
        for parameter in given.parameters():
            nn.init.normal_(parameter, std=0.2)
        for source, target in ((given, taking), (taking, given)):
            renamed, rest = renamed_in_order(source.state_dict(), target.state_dict())
            target.load_state_dict(renamed)
            assert rest == []
            torch.testing.assert_close(source.eval()(images), target.eval()(images), rtol=1e-4, atol=1e-5)
            for parameter in target.parameters():
                nn.init.normal_(parameter, std=0.2)


def test_a_file_of_safetensors_is_read(tmp_path):
    from safetensors.torch import save_file

    network, file = models.resnet18(), tmp_path / "model.safetensors"
    save_file(network.state_dict(), file)
    model = create_model("resnet18", weights=file)
    assert torch.equal(model.backbone.layer4[1].conv2.weight, network.layer4[1].conv2.weight)
    file.write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        create_model("resnet18", weights=file)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    file = saved(models.resnet18(), tmp_path / "resnet18.pth")
    first = r"it lacks features\.0\.0\.weight, features\.0\.1\.weight, features\.0\.1\.bias and \d+ more"
    with pytest.raises(CheckpointError, match=first):
        create_model("mobilenet_v2", weights=file)
    with pytest.raises(CheckpointError, match="of another network"):
        create_model("timm/mobilenetv2_100", weights=file)
    assert renamed_in_order(models.resnet18().state_dict(), models.resnet34().state_dict()) is None
    assert renamed_in_order(models.resnet34().state_dict(), models.resnet18().state_dict()) is None


@pytest.mark.skipif(WEIGHTS is None, reason="DML_TEST_WEIGHTS names no folder of trained weights")
@pytest.mark.parametrize("pillow", [True, False])
def test_trained_weights_give_the_features_of_the_codes_that_they_come_from(pillow):
    generator = torch.Generator().manual_seed(0)
    small = torch.randint(0, 256, (9, 12, 3), generator=generator, dtype=torch.uint8)
    photo = Image.fromarray(small.numpy()).resize((300, 260), Image.Resampling.BICUBIC)

    file = Path(WEIGHTS) / "mobilenet_v2.pth"
    reference = models.mobilenet_v2().eval()
    reference.load_state_dict(torch.load(file, weights_only=True), strict=False)
    reference.classifier = nn.Identity()
    theirs = models.MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    compare(create_model("mobilenet_v2", weights=file), reference, theirs, photo, pillow=pillow)

    file = Path(WEIGHTS) / "tf_efficientnet_lite0.pth"
    reference = timm.create_model("tf_efficientnet_lite0", checkpoint_path=str(file)).eval()
    reference.reset_classifier(0)
    theirs = timm.data.create_transform(**timm.data.resolve_model_data_config(reference))
    compare(create_model("timm/tf_efficientnet_lite0", weights=file), reference, theirs, photo, pillow=pillow)


def compare(ours, reference, theirs, photo, *, pillow: bool) -> None:
    """Features of one photograph through our transform and network, and through theirs: to rounding where scaling is
    Pillow's in both; otherwise of the same tensor."""
    spec = ours.input_spec
    how = {"resize": spec.resize_for(224), "crop_size": 224, "interpolation": spec.interpolation}
    image = eval_transform(spec.normalize, pillow=pillow, **how)(photo)[None]
    with torch.no_grad():
        expected = reference(theirs(photo)[None] if pillow else image)
        torch.testing.assert_close(ours.eval()(image).features, expected, rtol=1e-5, atol=1e-5)
