"""From maps and tokens to a row of features for each image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dml.errors import UserError
from dml.models import create_model
from dml.models.backbones import Backbone
from dml.models.input_spec import IMAGENET_RGB
from dml.models.pooling import GeM, Pooling, feature_size
from dml.registry import UnknownNameError


class Tokens(Backbone):
    """Two tokens that belong to no place, the first of the whole image, and three that do; doubles pooled features."""

    input_spec = IMAGENET_RGB
    num_prefix_tokens = 2
    has_class_token = True

    def __init__(self):
        super().__init__()
        self.stage_channels = {"block1": 4}

    def forward_stages(self, images: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError

    def after_pool(self, features: Tensor) -> Tensor:
        return 2 * features


def test_class_token_registers_and_places_are_told_apart():
    backbone, tokens = Tokens(), torch.rand(3, 5, 4)
    token, places = tokens[:, 0], tokens[:, 2:]
    expected = {
        "cls": token,
        "avg": places.mean(1),
        "avg_max": places.mean(1) + places.amax(1),
        "cls_avg": torch.cat([token, places.mean(1)], dim=1),
    }
    for name, features in expected.items():
        pool = Pooling(name, backbone, "tokens")
        torch.testing.assert_close(pool(tokens, backbone), 2 * features)
        assert pool.size == features.shape[1]


@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 15, 4)])
def test_the_generalised_mean(shape):
    pool, x = GeM(), torch.rand(shape) + 0.1
    dims = (2, 3) if len(shape) == 4 else 1
    torch.testing.assert_close(pool(x), x.pow(3).mean(dims).pow(1 / 3))
    with torch.no_grad():
        pool.p.fill_(1.0)
        torch.testing.assert_close(pool(x), x.mean(dims))
        pool.p.fill_(2000.0)
        torch.testing.assert_close(pool(x), x.amax(dims), rtol=1e-2, atol=0)
    large = pool(x.to(torch.float16) * 1e4)
    assert large.dtype == torch.float32
    assert large.isfinite().all()


def test_the_exponent_is_learned_with_the_head_and_saved():
    model = create_model("resnet18", embedding_size=8, pretrained=False, pooling="gem")
    exponent = model.state_dict()["pool.over_places.p"]
    assert exponent == 3
    assert any(parameter is model.pool.over_places.p for parameter in model.new_parameters())
    model(torch.rand(2, 3, 64, 64)).embedding[:, 0].sum().backward()  # of a single place every mean is the same
    assert model.pool.over_places.p.grad.abs() > 0


def test_a_pooling_that_a_network_does_not_have_is_refused():
    for name in ("cls", "cls_avg"):
        with pytest.raises(UserError, match=f"--pooling {name}: resnet18 has no class token"):
            create_model("resnet18", pretrained=False, pooling=name)
    with pytest.raises(UserError, match="that of resnet18 is avg_max"):
        create_model("resnet18", pretrained=False, pooling="own")
    with pytest.raises(UnknownNameError, match="avg, avg_max, cls, cls_avg, gem, own"):
        create_model("resnet18", pretrained=False, pooling="max")


def test_every_network_s_own_custom():
    own = {name: create_model(name, pretrained=False).architecture.pooling for name in ("resnet18", "mobilenet_v2")}
    assert own == {"resnet18": "avg_max", "mobilenet_v2": "avg"}
    assert feature_size("vit_b_16", "cls_avg") == 2 * 768


def test_no_head_gives_the_features():
    model = create_model("resnet18", head="none", l2_norm=False, pretrained=False).eval()
    output = model(torch.rand(2, 3, 32, 32))
    assert torch.equal(output.embedding, output.features)
    assert model.architecture.embedding_size == 512
    assert list(model.new_parameters()) == []
    assert "no head" in model.architecture.describe()
