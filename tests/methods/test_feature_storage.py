"""The features that samplers choose batches by, from epoch to epoch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dml.methods.feature_storage import FeatureStorage

FEATURES = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(0))  # of four epochs


def storage(**options) -> FeatureStorage:
    epochs = iter(FEATURES)
    return FeatureStorage(lambda _: next(epochs), num_images=5, embedding_size=2, **options)


def renewed(features: FeatureStorage, times: int = 4) -> list[torch.Tensor]:
    return [features.renew(nn.Identity()).clone() for _ in range(times)]


def test_every_epoch_has_its_own_features():
    torch.testing.assert_close(torch.stack(renewed(storage())), FEATURES)


def test_without_update_the_first_stay():
    assert all(torch.equal(features, FEATURES[0]) for features in renewed(storage(update=False)))


@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_changes_have_momentum(momentum):
    stored, change = FEATURES[0].clone(), torch.zeros(5, 2)
    for ours, new in zip(renewed(storage(momentum=momentum, rate=0.5))[1:], FEATURES[1:], strict=True):
        change = momentum * change + (1 - momentum) * (new - stored)
        stored = stored + 0.5 * change
        torch.testing.assert_close(ours, stored)


def test_its_state_is_all_there_is():
    whole, first = storage(momentum=0.6), storage(momentum=0.6)
    expected = renewed(whole)
    renewed(first, 2)
    epochs = iter(FEATURES[2:])
    second = FeatureStorage(lambda _: next(epochs), num_images=5, embedding_size=2, momentum=0.6)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(renewed(second, 2), expected[2:], rtol=0, atol=0)
