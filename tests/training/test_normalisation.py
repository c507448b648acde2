"""A batch of one image, of which batch normalisation can take no statistics, is refused before anything is trained."""

from __future__ import annotations

import pytest
import torch

from dml.models import create_model
from dml.models.classifiers import create_classifier
from dml.training.normalisation import require_statistics
from entrypoints import SMALL, run_inside


def network(**options):
    return create_model("resnet18", embedding_size=8, pretrained=False, **options)


@pytest.mark.parametrize(
    ("options", "side", "first"),
    [({"bn_freeze": False}, 32, "backbone.layer4.0.bn1"), ({"bn_freeze": True, "head": "mlp_bn"}, 64, "embedding.1")],
)
def test_torch_refuses_what_is_refused_here(options, side, first):
    model = network(**options).train()
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model(torch.zeros(1, 3, side, side))
    with pytest.raises(ValueError, match=rf"{first} is the first.*Raise it to at least 2 for each process") as caught:
        require_statistics(model, rows=1, side=side)
    assert ("--bn-freeze 1" in str(caught.value)) == first.startswith("backbone")


@pytest.mark.parametrize(
    ("make", "rows", "side"),
    [
        (lambda: network(bn_freeze=False), 2, 32),
        (lambda: network(bn_freeze=False), 1, 64),  # its last maps have 2 × 2 pixels
        (lambda: network(bn_freeze=True), 1, 32),
        (lambda: create_classifier("resnet18", classes=("a", "b"), stem="cifar"), 1, 32),
    ],
    ids=["two images", "larger maps", "frozen", "classifier"],
)
def test_what_can_be_normalised_passes_and_is_left_as_it_was(make, rows, side):
    model = make().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    require_statistics(model, rows=rows, side=side)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    model(torch.zeros(rows, 3, side, side))  # torch agrees


def test_the_run_does_not_begin(digits, tmp_path, capsys):
    words = ["--dataset", "folder", "--data-dir", digits, *SMALL, "--batch-size", "1", "--log-dir", tmp_path]
    said = run_inside("train.py", *words, status=2, capsys=capsys).err
    assert "--batch-size: of one image a step and process, 5 of the layers of batch normalisation" in said
    assert "or add --bn-freeze 1" in said
    assert not list(tmp_path.iterdir())
