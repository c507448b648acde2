"""Every loss and every miner of pytorch-metric-learning by its name: it trains, or is refused with a reason."""

from __future__ import annotations

import inspect
import json
import sys

import pytest
import torch
from pytorch_metric_learning import distances, losses, miners

import dml
from dml.errors import UserError
from dml.losses import LOSSES, create_loss
from dml.losses.library import NO_LOSSES, library_loss
from dml.losses.mined import MinedLoss
from dml.miners import MINERS
from dml.miners.library import NO_MINERS
from dml.registry import UnknownNameError

C, D = 5, 8
NEED_ARGUMENTS = {"RankedListLoss": {"margin": 0.4, "Tn": 1.0}}


def classes_of(module) -> list[str]:
    return [name for name in dir(module) if inspect.isclass(getattr(module, name))]


def batch(rows: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, D, generator=generator, requires_grad=True), torch.arange(rows) % C


def take_steps(loss: torch.nn.Module, steps: int = 3) -> None:
    embeddings, labels = batch()
    for _ in range(steps):
        value = loss(embeddings, labels)
        value.backward()
        assert value.shape == ()
        assert value.isfinite()
    assert embeddings.grad.isfinite().all()
    assert embeddings.grad.abs().sum() > 0
    assert all(parameter.grad.isfinite().all() for parameter in loss.parameters())


@pytest.mark.parametrize("name", classes_of(losses))
def test_every_loss_trains_or_is_refused(name):
    arguments = NEED_ARGUMENTS.get(name, {})
    if name in NO_LOSSES:
        with pytest.raises(UserError, match=f"^--loss pml/{name} cannot be used: [^\n]+$"):
            LOSSES[f"pml/{name}"]
        return
    loss = create_loss(f"pml/{name}", num_classes=C, embedding_size=D, options={"loss-args": json.dumps(arguments)})
    take_steps(loss)
    learns = bool(list(loss.parameters()))
    assert learns == (LOSSES[f"pml/{name}"].lr_scale is not None) or name == "MarginLoss"
    other = create_loss(f"pml/{name}", num_classes=C, embedding_size=D, options={"loss-args": json.dumps(arguments)})
    other.load_state_dict(loss.state_dict())
    torch.testing.assert_close(other(*batch()), loss(*batch()))


@pytest.mark.parametrize("name", classes_of(miners))
def test_every_miner_trains_or_is_refused(name):
    if name in NO_MINERS:
        with pytest.raises(UserError, match=f"^--miner pml/{name} cannot be used: [^\n]+$"):
            MINERS[f"pml/{name}"]
        return
    loss = dml.create_loss("pml/ContrastiveLoss", num_classes=C, embedding_size=D, miner=f"pml/{name}")
    assert isinstance(loss, MinedLoss)
    take_steps(loss)


def test_what_is_refused_is_there():
    """A list of reasons, not of what once was."""
    assert set(NO_LOSSES) - set(classes_of(losses)) == {"WeightMixin"}
    assert set(NO_MINERS) < set(classes_of(miners))


def test_the_library_computes_it():
    embeddings, labels = batch()
    ours = dml.create_loss("pml/TripletMarginLoss", margin=0.3, miner="pml/BatchHardMiner")
    picked = miners.BatchHardMiner()(embeddings, labels)
    expected = losses.TripletMarginLoss(margin=0.3)(embeddings, labels, picked)
    torch.testing.assert_close(ours(embeddings, labels), expected)


def test_sizes_may_be_left_out_where_none_is_needed():
    embeddings, labels = batch()
    expected = losses.CircleLoss(m=0.4)(embeddings, labels)
    torch.testing.assert_close(dml.create_loss("pml/CircleLoss", m=0.4)(embeddings, labels), expected)
    with pytest.raises(UserError, match="pml/ArcFaceLoss needs num_classes and embedding_size"):
        dml.create_loss("pml/ArcFaceLoss")
    with pytest.raises(UserError, match="loss 'proxy_anchor' needs num_classes and embedding_size"):
        dml.create_loss("proxy_anchor")
    with pytest.raises(UserError, match="miner 'distance' needs embedding_size"):
        dml.create_miner("distance")
    assert dml.create_miner("pml/BatchHardMiner")(*batch())


def test_distances_and_reducers_by_name():
    embeddings, labels = batch()
    by_name = {"distance": {"LpDistance": {"p": 1}}, "reducer": "SumReducer"}
    ours = create_loss("pml/ContrastiveLoss", num_classes=C, embedding_size=D, options={"loss-args": by_name})
    by_object = dml.create_loss("pml/ContrastiveLoss", distance=distances.LpDistance(p=1), reducer="SumReducer")
    torch.testing.assert_close(ours(embeddings, labels), by_object(embeddings, labels))
    assert ours(embeddings, labels) > 10 * dml.create_loss("pml/ContrastiveLoss")(embeddings, labels)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("SupConLoss", '{"tempreature": 0.1}', "has no argument 'tempreature': its arguments are temperature, "),
        ("SupConLoss", "temperature=0.1", "is no JSON, such as"),
        ("SupConLoss", "[0.1]", "must be a JSON object, such as"),
        ("SupConLoss", '{"temperature": "warm"}', "cannot train here: "),
        ("SupConLoss", '{"distance": "Cosine"}', "distance must be one of CosineSimilarity, "),
        ("SupConLoss", '{"reducer": "DoNothingReducer"}', "it gives no single number per batch"),
        ("ArcFaceLoss", '{"num_classes": 3}', "'num_classes' of pml/ArcFaceLoss is filled in: leave it out"),
        ("RankedListLoss", "{}", "pml/RankedListLoss needs margin and Tn: --loss-args"),
        ("FastAPLoss", '{"num_bins": "many"}', "cannot be built|cannot train here"),
    ],
)
def test_arguments_that_do_not_fit(name, given, told):
    with pytest.raises(UserError, match=told) as raised:
        create_loss(f"pml/{name}", num_classes=C, embedding_size=D, options={"loss-args": given})
    assert "\n" not in str(raised.value)


def test_names_that_do_not_fit():
    with pytest.raises(UnknownNameError, match="has no loss 'SubcenterArcface': there are pml/SubCenterArcFaceLoss, "):
        LOSSES["pml/SubcenterArcface"]
    with pytest.raises(UnknownNameError, match="has no miner 'BatchHard': there are pml/BatchHardMiner, "):
        MINERS["pml/BatchHard"]
    with pytest.raises(UnknownNameError, match="and pml/CLASS for every loss of pytorch-metric-learning"):
        LOSSES["tripet"]
    assert "pml/SupConLoss" in LOSSES
    assert "pml/SupCon" not in LOSSES
    assert not any(name.startswith("pml/") for name in LOSSES)


def test_miners_that_do_not_fit():
    with pytest.raises(
        UserError, match="miner 'distance' cannot serve loss 'pml/TripletMarginLoss'; it takes pml/CLASS"
    ):
        dml.create_loss("pml/TripletMarginLoss", num_classes=C, embedding_size=D, miner="distance")
    with pytest.raises(UserError, match="miner 'pml/BatchHardMiner' cannot serve loss 'triplet'; it takes distance, "):
        dml.create_loss("triplet", num_classes=C, embedding_size=D, miner="pml/BatchHardMiner")


def test_margins_are_learned_where_that_is_asked_for():
    options = {"loss-args": '{"learn_beta": true}'}
    loss = create_loss("pml/MarginLoss", num_classes=C, embedding_size=D, options=options)
    assert [parameter.shape for parameter in loss.parameters()] == [(C,)]
    assert LOSSES["pml/MarginLoss"].lr_scale == 100


def test_nothing_is_drawn_but_its_own_parameters():
    """The trial at start leaves the seed's draws alone."""
    torch.manual_seed(0)
    loss = create_loss("pml/CosFaceLoss", num_classes=C, embedding_size=D)
    torch.manual_seed(0)
    torch.testing.assert_close(loss.loss.W.detach(), losses.CosFaceLoss(C, D).W.detach(), rtol=0, atol=0)


def test_half_precision_is_widened():
    embeddings, labels = batch()
    loss = dml.create_loss("pml/MultiSimilarityLoss")
    half = embeddings.detach().bfloat16()
    torch.testing.assert_close(loss(half, labels), loss(half.float(), labels), rtol=0, atol=0)


def test_without_the_library(monkeypatch):
    library_loss.cache_clear()
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(UserError, match=r"needs pytorch-metric-learning: `pip install '\.\[pml\]'` installs it"):
        LOSSES["pml/SupConLoss"]
