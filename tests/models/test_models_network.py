"""The embedding network: outputs, pooling, normalisation, freezing, precision, compilation."""

from __future__ import annotations

import copy
import socket

import pytest
import torch
from torch import nn

from dml.models import BACKBONES, Architecture, EmbeddingNet, create_model
from dml.registry import UnknownNameError


def small(**options) -> EmbeddingNet:
    """A resnet18 without ImageNet weights."""
    torch.manual_seed(0)
    return create_model("resnet18", embedding_size=8, pretrained=False, **options)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list(BACKBONES))
def test_every_backbone_gives_what_it_announces(name, images, monkeypatch):
    def no_network(*args, **kwargs):
        raise AssertionError("pretrained=False must not open a connection")

    monkeypatch.setattr(socket, "socket", no_network)
    model = create_model(name, embedding_size=8, pretrained=False, image_size=64).eval()
    with torch.inference_mode():
        stages = model.backbone.forward_stages(images[:1])
        output = model(images[:1])
    assert {stage: maps.shape[1] for stage, maps in stages.items()} == model.backbone.stage_channels
    assert list(stages.values())[-1].shape[1] == model.backbone.num_features
    assert output.features.shape == (1, model.backbone.num_features)
    assert output.embedding.shape == (1, 8)
    assert torch.isfinite(output.embedding).all()
    assert output.features.std() > 1e-2  # random weights carry the signal to the end


def test_embeddings_have_unit_length_only_with_l2_norm(images):
    model = small().eval()
    torch.testing.assert_close(model(images).embedding.norm(dim=1), torch.ones(4))
    raw = small(l2_norm=False).eval()(images).embedding
    assert (raw.norm(dim=1) - 1).abs().min() > 1e-3
    torch.testing.assert_close(nn.functional.normalize(raw), model(images).embedding)


def test_norm_conventions_differ_where_the_embedding_is_small(images):
    lengths = {}
    for norm in ("n_eps", "n_eps_1e-5", "n_clamp"):
        model = small(norm=norm).eval()
        nn.init.zeros_(model.embedding.weight)
        nn.init.constant_(model.embedding.bias, 1e-3 / 8**0.5)  # embeddings of length 1e-3
        lengths[norm] = model(images).embedding.norm(dim=1)[0].item()
    assert lengths["n_clamp"] == pytest.approx(1, abs=1e-6)
    assert lengths["n_eps"] == pytest.approx(1, abs=1e-5)
    assert lengths["n_eps_1e-5"] == pytest.approx((1e-6 / 1.1e-5) ** 0.5, rel=1e-4)


def test_pooling_is_the_mean_alone_or_the_mean_plus_the_maximum(images):
    average, both = small(pooling="avg").eval(), small(pooling="avg_max").eval()
    last = average.backbone(images)
    torch.testing.assert_close(average(images).features, last.mean(dim=(2, 3)))
    torch.testing.assert_close(both(images).features, last.mean(dim=(2, 3)) + last.amax(dim=(2, 3)))


def test_backbones_start_as_published_or_as_torch_draws_them():
    spread = {}
    for start in ("published", "torch"):
        weight = small(backbone_init=start).backbone.layer4[1].conv2.weight
        spread[start] = weight.std().item() * (weight[0].numel() / 2) ** 0.5
    assert spread == pytest.approx({"published": 1, "torch": 6**-0.5}, rel=1e-2)
    with pytest.raises(UnknownNameError, match="published, torch"):
        small(backbone_init="zero")


@pytest.mark.parametrize("head", ["mlp", "mlp_bn"])
def test_heads_of_two_layers(head, images):
    model = small(head=head).eval()
    output = model(images)
    torch.testing.assert_close(output.embedding, nn.functional.normalize(model.embedding(output.features)))
    assert set(map(id, model.new_parameters())) == set(map(id, model.embedding.parameters()))
    assert f"head {head}" in model.architecture.describe()
    with pytest.raises(UnknownNameError, match="linear, mlp, mlp_bn"):
        small(head="deep")


def test_second_heads_fill_their_fields(images):
    plain = small().eval()(images)
    assert plain.background is None
    assert plain.uncertainty is None
    model = small(background_size=12, uncertainty=True).eval()
    output = model(images)
    assert output.background.shape == (4, 12)
    assert output.uncertainty.shape == (4, 8)
    assert (output.uncertainty.norm(dim=1) - 1).abs().min() > 1e-3
    unit = small(uncertainty=True, uncertainty_norm=True).eval()(images).uncertainty
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(4))


def test_uncertainties_start_small_however_long_the_features():
    features = torch.randn(4, small().backbone.num_features, 3, 3).abs()
    model = small(uncertainty=True)
    short, long = (model.forward_heads(scale * features).uncertainty.square().sum(1) for scale in (1.0, 1000.0))
    torch.testing.assert_close(short, long)
    assert 0.2 < short.mean() / (2 * 8 / (3 * 512)) < 4


def test_parameters_are_partitioned_into_new_and_backbone():
    model = small(background_size=5, uncertainty=True)
    new, backbone = list(model.new_parameters()), list(model.backbone_parameters())
    assert len(new) == 6
    assert {id(p) for p in new}.isdisjoint({id(p) for p in backbone})
    assert {id(p) for p in new + backbone} == {id(p) for p in model.parameters()}


def test_head_initialisations():
    for name in ("kaiming", "orthogonal"):
        assert not small(head_init=name).embedding.bias.any()
    orthogonal = small(head_init="orthogonal").embedding.weight
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(8))
    kaiming = small(head_init="kaiming").embedding.weight
    assert kaiming.std().item() == pytest.approx((2 / 8) ** 0.5, rel=0.05)  # fan_out = 8
    uniform = small(head_init="torch").embedding.weight
    assert uniform.abs().max() <= 512**-0.5


def test_the_same_seed_gives_the_same_network():
    one, two = small().state_dict(), small().state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


def _one_training_step(model: EmbeddingNet, images: torch.Tensor) -> None:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model.train()
    model(images).embedding[:, 0].sum().backward()
    optimizer.step()


@pytest.mark.parametrize("freeze", [True, False])
def test_bn_freeze_fixes_statistics_and_affine_parameters(freeze, images):
    model = small(bn_freeze=freeze)
    before = copy.deepcopy(model.state_dict())
    _one_training_step(model, images)
    after = model.state_dict()
    batch_norm = [key for key in before if ".bn" in key or ".downsample.1" in key]
    assert len(batch_norm) == 20 * 5
    assert all(torch.equal(before[key], after[key]) for key in batch_norm) is freeze
    assert not torch.equal(before["backbone.layer4.1.conv2.weight"], after["backbone.layer4.1.conv2.weight"])
    assert model.training


def test_affine_parameters_of_frozen_batch_normalisation_can_train(images):
    model = small(bn_freeze=True, bn_affine=True)
    before = copy.deepcopy(model.state_dict())
    _one_training_step(model, images)
    after = model.state_dict()
    norms = {key: torch.equal(before[key], after[key]) for key in before if ".bn" in key or ".downsample.1" in key}
    assert all(same is ("running" in key or "tracked" in key) for key, same in norms.items())


def test_frozen_networks_give_the_same_in_training_mode_and_for_single_images(images):
    model = small(bn_freeze=True)
    together = model.eval()(images).embedding
    alone = torch.cat([model.train()(image[None]).embedding for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["resnet18", "inception_v1"])
def test_autocast_gives_finite_float32_close_to_full_precision(name, dtype, images):
    torch.manual_seed(0)
    model = create_model(name, embedding_size=8, pretrained=False, background_size=4, uncertainty=True).eval()
    images = model.input_spec.normalize(images[:2].sigmoid())
    with torch.inference_mode():
        full = model(images)
        with torch.autocast("cpu", dtype=dtype):
            half = model(images)
    for field in ("embedding", "features", "background", "uncertainty"):
        assert getattr(half, field).dtype == torch.float32
        assert torch.isfinite(getattr(half, field)).all()
    assert nn.functional.cosine_similarity(half.embedding, full.embedding).min() > 0.99
    torch.testing.assert_close(half.embedding.norm(dim=1), torch.ones(2))


def test_local_response_normalisation_survives_squares_beyond_float16():
    lrn = BACKBONES["inception_v1"]().lrn
    maps = torch.full((1, 64, 2, 2), 1000.0)
    torch.testing.assert_close(lrn(maps.half()), lrn(maps))


def test_gradients_reach_every_trainable_parameter(images):
    model = small(background_size=4, uncertainty=True)
    output = model.train()(images)
    (output.embedding[:, 0] + output.background.sum(1) + output.uncertainty.sum(1)).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())


def test_compiles_as_one_graph_and_keeps_its_state_dict(images):
    model = small(background_size=4, bn_freeze=True).train()
    keys, expected = list(model.state_dict()), model(images).embedding
    model.compile(backend="eager", fullgraph=True)
    torch.testing.assert_close(model(images).embedding, expected)
    assert list(model.state_dict()) == keys


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "resnet19"}, "resnet18"),
        ({"pooling": "max"}, "avg_max"),
        ({"norm": "l2"}, "n_clamp"),
        ({"head_init": "zeros"}, "orthogonal"),
    ],
)
def test_unknown_names_list_the_valid_ones(options, message):
    with pytest.raises(UnknownNameError, match=message):
        create_model(**{"name": "resnet18", "pretrained": False} | options)


@pytest.mark.parametrize("options", [{"embedding_size": 0}, {"background_size": 0}, {"uncertainty_norm": True}])
def test_impossible_architectures_are_refused(options):
    with pytest.raises(ValueError, match=r"must be 1 or more|needs the uncertainty head"):
        Architecture(backbone="resnet18", **options)
