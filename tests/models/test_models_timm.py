"""Networks of timm: what every backbone promises, for families of different shapes, with random weights."""

from __future__ import annotations

import sys

import pytest
import torch

from dml.errors import UserError
from dml.models import BACKBONES, Architecture, EmbeddingNet, create_model
from dml.models.backbones import timm_names, traits_of
from dml.registry import UnknownNameError
from dml.training.layout import BROKEN_IN_ONEDNN

pytest.importorskip("timm")

# Convolutional with and without batch normalisation, tokens with and without a class token, registers, windows.
NETWORKS = (
    *("resnet18d", "convnext_atto", "tf_efficientnet_lite0", "regnety_002", "mobilenetv4_conv_small", "fastvit_t8"),
    *("vit_tiny_patch16_224", "vit_medium_patch16_gap_240", "vit_small_patch14_reg4_dinov2"),
    *("deit_tiny_distilled_patch16_224", "swin_tiny_patch4_window7_224", "hiera_tiny_224"),
)
SIDE = 64
pytestmark = pytest.mark.slow


def images(side: int = SIDE, number: int = 2) -> torch.Tensor:
    return torch.randn(number, 3, side, side, generator=torch.Generator().manual_seed(1))


def build(name: str, **options) -> EmbeddingNet:
    torch.manual_seed(0)
    return create_model(f"timm/{name}", pretrained=False, **{"image_size": SIDE, "embedding_size": 8} | options)


@pytest.fixture
def onednn(request):
    """Off for a network whose backward pass it breaks, as in training."""
    with torch.backends.mkldnn.flags(enabled=not f"timm/{request.param}".startswith(BROKEN_IN_ONEDNN)):
        yield


@pytest.mark.parametrize(("name", "onednn"), [(name, name) for name in NETWORKS], indirect=["onednn"])
def test_the_contract_of_a_backbone(name, onednn):
    model = build(name).eval()
    backbone, batch = model.backbone, images()
    with torch.no_grad():
        output, stages = backbone.forward_with_stages(batch)
        found = model(batch)
        theirs = backbone.network.forward_head(backbone.network.forward_features(batch), pre_logits=True)
    torch.testing.assert_close(output, backbone(batch), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.features, theirs, rtol=1e-4, atol=1e-5)  # timm's own features
    assert {stage: maps.shape[1] for stage, maps in stages.items()} == backbone.stage_channels
    assert all(maps.ndim == 4 for maps in stages.values())
    assert output.shape[1 if output.ndim == 4 else 2] == backbone.num_features
    assert (output.ndim == 3) == (backbone.num_prefix_tokens is not None)
    assert found.embedding.shape == (2, 8)
    assert (found.features[0] - found.features[1]).abs().max() > 1e-4  # random weights tell images apart

    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        in_bfloat16 = model(batch[:1]).embedding  # of one image: CPUs without bfloat16 take many times as long for two
    torch.testing.assert_close(in_bfloat16, found.embedding[:1], rtol=0, atol=0.1)

    blocks, behind = backbone.blocks()
    parameters = [id(parameter) for block in (*blocks, behind) for parameter in block]
    assert len(set(parameters)) == len(parameters) == len(list(backbone.parameters()))

    model.train()(images(number=3)).embedding[:, 0].sum().backward()
    without = {key for key, value in model.named_parameters() if value.grad is None or not value.grad.isfinite().all()}
    assert without <= {"backbone.network.mask_token"}

    other = EmbeddingNet(Architecture(**vars(model.architecture))).eval()
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other(batch).embedding, model.eval()(batch).embedding)


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
@pytest.mark.parametrize("side", [75, 97])
def test_odd_sizes_of_images(name, side):
    model = build(name, image_size=side, embedding_size=5).eval()
    with torch.no_grad():
        assert model(images(side)).embedding.shape == (2, 5)


def test_a_size_that_a_network_cannot_have_is_refused():
    with pytest.raises(UserError, match="hiera_tiny_224"):
        build("hiera_tiny_224", image_size=75)


def test_traits_are_those_of_the_network_s_own_settings():
    vit, convolutional = traits_of("timm/vit_tiny_patch16_224"), traits_of("timm/tf_efficientnet_lite0")
    assert (vit.pooling, vit.num_prefix_tokens, vit.has_class_token, vit.is_sized) == ("cls", 1, True, True)
    assert vit.input_spec.mean == (0.5, 0.5, 0.5)
    assert (vit.input_spec.interpolation, vit.input_spec.resize_for(224)) == ("bicubic", 248)
    assert (convolutional.pooling, convolutional.has_batch_norm, convolutional.is_sized) == ("avg", True, False)
    registers = traits_of("timm/vit_small_patch14_reg4_dinov2")
    assert (registers.num_prefix_tokens, registers.has_class_token, registers.input_spec.crop_size) == (5, True, 518)
    assert traits_of("timm/vit_medium_patch16_gap_240").has_class_token is False


def test_a_name_is_recorded_with_the_tag_of_its_weights():
    assert BACKBONES.canonical("timm/convnext_atto") == "timm/convnext_atto.d2_in1k"
    assert BACKBONES.canonical("timm/convnext_atto.d2_in1k") == "timm/convnext_atto.d2_in1k"
    assert build("convnext_atto").architecture.backbone == "timm/convnext_atto.d2_in1k"


def test_an_unknown_name_lists_the_nearest():
    with pytest.raises(UnknownNameError, match=r"no network 'vit_smal_patch16_224'.*timm/vit_small_patch16_224"):
        BACKBONES.canonical("timm/vit_smal_patch16_224")
    with pytest.raises(UnknownNameError, match="convnext_atto has no weights 'mine'; there are d2_in1k"):
        BACKBONES.canonical("timm/convnext_atto.mine")
    with pytest.raises(UnknownNameError, match="timm/NAME for every network of timm"):
        BACKBONES.canonical("vit_small")
    assert "timm/no_such" not in BACKBONES


def test_without_timm_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    timm_names.timm_name.cache_clear()
    with pytest.raises(UserError, match="pip install timm"):
        BACKBONES.canonical("timm/convnext_atto")


def test_position_embeddings_are_resampled_for_another_size():
    small, large = build("vit_tiny_patch16_224"), build("vit_tiny_patch16_224", image_size=96)
    large.backbone.load_state_dict(large.backbone.fit_state(small.backbone.state_dict()))
    assert large.backbone.network.pos_embed.shape == (1, 37, 192)
    assert torch.equal(large.backbone.network.pos_embed[:, 0], small.backbone.network.pos_embed[:, 0])
