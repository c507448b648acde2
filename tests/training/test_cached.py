"""Features that are computed once: those of the same views of the images, by the same network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch.utils.data import Dataset

from dml.data.images import Sample, SampleKey
from dml.data.loader import eval_loader
from dml.models import EmbeddingNet, create_model
from dml.models.extract import embed
from dml.training.cached import RememberedBatches, cache_training_set

NUMBER = 5
pytestmark = pytest.mark.slow


class Views(Dataset):
    """Random images, another one for each seed."""

    records = SimpleNamespace(labels=np.arange(NUMBER))

    def __init__(self):
        self.taken = 0

    def __len__(self) -> int:
        return NUMBER

    def __getitem__(self, key: int | SampleKey) -> Sample:
        self.taken += 1
        index, seed = key if isinstance(key, SampleKey) else (key, 0)
        generator = torch.Generator().manual_seed(seed + 7 * index)
        return Sample([torch.randn(3, 32, 32, generator=generator)], index, index)


@pytest.fixture(scope="module")
def model() -> EmbeddingNet:
    torch.manual_seed(0)
    return create_model("resnet18", embedding_size=8, pretrained=False).eval()


@pytest.fixture(scope="module")
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


def loaded(images: Views, seed: int | None) -> torch.Tensor:
    """All images of a view, in order."""
    (batch,) = eval_loader(images, batch_size=NUMBER, workers=0, device=torch.device("cpu"), seed=seed)
    return batch.images


def test_each_view_is_that_of_its_seed(model, fabric):
    images = Views()
    cached = cache_training_set(images, model, fabric, seeds=[3, 4], batch_size=2, workers=0)
    assert cached.views.shape == (2, NUMBER, 512)
    with torch.no_grad():
        for number, seed in enumerate((3, 4)):
            output = model(loaded(images, seed))
            torch.testing.assert_close(cached.views[number], output.features)
            torch.testing.assert_close(model(cached.views[number]).embedding, output.embedding)
    assert not torch.equal(*cached.views)
    sample = cached[SampleKey(2, seed=11)]
    assert torch.equal(sample.views[0], cached.views[1, 2])
    assert (sample.label, sample.index) == (2, 2)


def test_without_seeds_there_is_one_view_as_in_evaluation(model, fabric):
    images = Views()
    cached = cache_training_set(images, model, fabric, seeds=[None], batch_size=2, workers=0)
    with torch.no_grad():
        torch.testing.assert_close(cached[4].views[0], model(loaded(images, None)).features[4])


def test_batches_are_remembered_once_they_were_all_seen(model, fabric):
    images = Views()
    batches = eval_loader(images, batch_size=2, workers=0, device=torch.device("cpu"))
    remembered = RememberedBatches(batches, model, fabric.device, fabric.autocast)
    plain, _, _ = embed(model, batches, fabric.device)
    taken = images.taken
    next(iter(remembered))  # an evaluation that was stopped
    first, _, order = embed(model, remembered, fabric.device)
    assert images.taken == taken + 2 + NUMBER
    again, _, _ = embed(model, remembered, fabric.device)
    assert images.taken == taken + 2 + NUMBER
    assert order.tolist() == list(range(NUMBER))
    torch.testing.assert_close(first, plain)
    assert torch.equal(first, again)
