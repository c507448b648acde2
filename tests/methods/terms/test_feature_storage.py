"""The features that samplers choose batches by, from epoch to epoch."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dml.data.samplers import SAMPLERS
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.feature_storage import FeatureStorage
from dml.structures import Batch, ModelOutput, Progress

FEATURES = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(0))  # of four epochs


def storage(**options) -> FeatureStorage:
    epochs = iter(FEATURES)
    return FeatureStorage(lambda _: next(epochs), num_images=5, embedding_size=2, **options)


def over_epochs(features: FeatureStorage, times: int = 4) -> list[torch.Tensor]:
    return [next_epoch(features) for _ in range(times)]


def next_epoch(features: FeatureStorage) -> torch.Tensor:
    features.keep(*features.for_epoch(nn.Identity()))
    return features.features.clone()


def test_one_pass_is_all():
    assert all(torch.equal(features, FEATURES[0]) for features in over_epochs(storage()))


def test_steps_renew_their_images():
    features = storage()
    over_epochs(features, 1)
    rows = torch.arange(8.0).reshape(4, 2).requires_grad_()
    features.take_over(torch.tensor([3, 1, 3, 0]), rows)
    expected = FEATURES[0].clone()
    expected[[0, 1, 3]] = rows.detach()[[3, 1, 2]]  # of image 3 the later row
    torch.testing.assert_close(next_epoch(features), expected)
    assert not features.features.requires_grad


def test_without_update_the_first_stay():
    features = storage(update=False)
    over_epochs(features, 1)
    features.take_over(torch.tensor([3, 1]), torch.ones(2, 2))
    assert torch.equal(over_epochs(features, 1)[0], FEATURES[0])


def test_recomputed_features_are_of_their_epoch():
    torch.testing.assert_close(torch.stack(over_epochs(storage(recompute=True))), FEATURES)


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_changes_have_momentum(momentum):
    stored, change = FEATURES[0].clone(), torch.zeros(5, 2)
    features = storage(recompute=True, momentum=momentum, rate=0.5)
    for ours, new in zip(over_epochs(features)[1:], FEATURES[1:], strict=True):
        change = momentum * change + (1 - momentum) * (new - stored)
        stored = new + 0.5 * change if momentum else new
        torch.testing.assert_close(ours, stored)


def test_its_state_is_all_there_is():
    whole, first = (storage(recompute=True, momentum=0.6) for _ in range(2))
    expected = over_epochs(whole)
    over_epochs(first, 2)
    epochs = iter(FEATURES[2:])
    options = {"num_images": 5, "embedding_size": 2, "recompute": True, "momentum": 0.6}
    second = FeatureStorage(lambda _: next(epochs), **options)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(over_epochs(second, 2), expected[2:], rtol=0, atol=0)


class Network(nn.Module):
    """Stands for a network: "images" are embeddings already, with something behind them."""

    architecture = SimpleNamespace(embedding_size=2)

    def rates_by_depth(self):
        return [("backbone", 1.0, [])]

    def new_parameters(self):
        return []

    def forward(self, images):
        return ModelOutput(embedding=images, features=images, uncertainty=images + 1)


class Sum(nn.Module):
    def forward(self, rows, labels):
        return rows.sum()


def test_a_training_step_hands_its_embeddings_over():
    sampler = SAMPLERS["greedy_coreset"](torch.tensor([0, 0, 1, 1, 1]).numpy(), batch_size=4, images_per_class=2)
    features = storage()
    method = SupervisedMethod(model=Network(), criterion=Sum(), sampler=sampler, terms=[features])
    indices = torch.from_numpy(method.epoch_batches(0)[0])
    images = torch.randn(4, 2, requires_grad=True)
    loss = method(Batch(images, torch.zeros(4, dtype=torch.int64), indices), Progress(0, 1)).loss
    loss.backward()
    expected = FEATURES[0].clone()
    for index, image in zip(indices, images.detach(), strict=True):
        expected[index] = image
    torch.testing.assert_close(features.features, expected)


def test_an_interrupted_planning_leaves_the_features_as_they_were(monkeypatch):
    """A signal in the middle of it saves the run; the continued one plans the epoch again."""
    sampler = SAMPLERS["greedy_coreset"](torch.tensor([0, 0, 1, 1, 1]).numpy(), batch_size=4, images_per_class=2)
    states = []
    for interrupted in (None, 2):
        features = storage(recompute=True, momentum=0.6)
        method = SupervisedMethod(model=Network(), criterion=Sum(), sampler=sampler, terms=[features])
        for epoch in range(4):
            features.embed = lambda _, epoch=epoch: FEATURES[epoch]
            if epoch == interrupted:
                with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                    patch.setattr(sampler, "plan", interrupt)
                    method.epoch_batches(epoch)
            method.epoch_batches(epoch)
        states.append(features.state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)


def interrupt(epoch: int):
    raise KeyboardInterrupt
