"""Losses and miners by their Python arguments: what is wrong is answered with what is right."""

from __future__ import annotations

import pytest
import torch

import dml
from dml import losses
from dml.errors import UserError
from dml.losses import LOSSES
from dml.losses.mined import MinedLoss
from dml.miners import MINERS
from dml.registry import UnknownNameError

SIZES = {"num_classes": 4, "embedding_size": 8}


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(12, 8), torch.arange(12) % 4


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_called_with_embeddings_and_labels(name):
    value = dml.create_loss(name, **SIZES)(*batch())
    assert value.ndim == 0
    assert value.isfinite()


def test_options_go_by_argument():
    torch.manual_seed(0)
    ours = dml.create_loss("Proxy_Anchor", **SIZES, margin=0.3, alpha=16.0)
    torch.manual_seed(0)
    by_flag = losses.create_loss("proxy_anchor", **SIZES, options={"mrg": 0.3, "alpha": 16.0})
    torch.manual_seed(0)
    default = losses.create_loss("proxy_anchor", **SIZES)
    given = batch()
    assert ours(*given) == by_flag(*given) != default(*given)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mrg": 0.3}, "has no option 'mrg': its options are alpha, margin$"),
        ({"margin": -1}, "margin must be 0 or more, got -1"),
        ({"miner": "random"}, "loss 'proxy_anchor' takes no tuples of the batch, and so no miner"),
    ],
)
def test_wrong_options(options, told):
    with pytest.raises(UserError, match=told):
        dml.create_loss("proxy_anchor", **SIZES, **options)


def test_wrong_names_and_options_of_losses_without_any():
    with pytest.raises(UnknownNameError, match="Did you mean 'triplet'"):
        dml.create_loss("tripet", **SIZES)
    with pytest.raises(UserError, match=r"loss multi_similarity_mined \(MS\) has no option 'alpha': it has none"):
        dml.create_loss("MS", **SIZES, alpha=2)


def test_a_rate_is_no_argument():
    """``--loss_margin_beta_lr`` belongs to the optimiser."""
    with pytest.raises(UserError) as error:
        dml.create_loss("margin", **SIZES, no_such=1)
    assert "lr" not in str(error.value).split("options are ")[1]


@pytest.mark.parametrize("name", MINERS)
def test_miners(name):
    miner = dml.create_miner(name, embedding_size=8, margin=0.2)
    fits = [loss for loss, spec in LOSSES.items() if name in spec.miners]
    assert fits
    loss = dml.create_loss(fits[0], **SIZES, miner=miner)
    assert isinstance(loss, MinedLoss)
    assert loss.miner is miner
    assert loss(*batch()).isfinite()
    by_name = dml.create_loss(fits[0], **SIZES, miner=name)
    assert type(by_name.miner) is type(miner)


def test_wrong_miners():
    with pytest.raises(UserError, match="miner distance has no option 'cutoff': its options are lower_cutoff, upper"):
        dml.create_miner("distance", embedding_size=8, cutoff=1)
    with pytest.raises(UserError, match="lower_cutoff must be 0 or more"):
        dml.create_miner("distance", embedding_size=8, lower_cutoff=-1)
    with pytest.raises(UnknownNameError, match="unknown miner"):
        dml.create_miner("distant", embedding_size=8)
    with pytest.raises(UserError, match="miner 'lifted' cannot serve loss 'triplet'; it takes"):
        dml.create_loss("triplet", **SIZES, miner="lifted")
