"""Batches are the same whatever the number of workers, processes, or the batch that loading begins with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from dml.data.images import ImageDataset
from dml.data.loader import PlannedBatches, eval_loader, train_loader
from dml.data.records import ImageRecords


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> ImageDataset:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = []
    for number in range(24):
        path = folder / f"{number}.png"
        Image.fromarray(rng.integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(path)
        paths.append(str(path))
    records = ImageRecords(tuple(paths), np.arange(24, dtype=np.int64) % 4, ("a", "b", "c", "d"))
    transform = v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(8),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return ImageDataset(records, transform, num_views=2)


PLAN = np.random.default_rng(1).permutation(24).reshape(3, 8)


def load(dataset, *, workers=0, rank=0, world_size=1, epoch=0, first=0, seed=5):
    batches = PlannedBatches(seed=seed, rank=rank, world_size=world_size)
    loader = train_loader(dataset, batches, workers=workers, pin_memory=False)
    batches.set_epoch(PLAN, epoch, first)
    assert len(loader) == 3 - first
    return list(loader)


def test_workers_change_nothing(dataset):
    for ours, theirs in zip(load(dataset), load(dataset, workers=2), strict=True):
        torch.testing.assert_close(ours.images, theirs.images, rtol=0, atol=0)
        assert ours.indices.tolist() == theirs.indices.tolist()


def test_processes_share_each_batch_in_order(dataset):
    whole = load(dataset)
    halves = [load(dataset, rank=rank, world_size=2) for rank in (0, 1)]
    for batch, one, two in zip(whole, *halves, strict=True):
        views = batch.images.unflatten(0, (2, 8))
        parts = [part.images.unflatten(0, (2, 4)) for part in (one, two)]
        torch.testing.assert_close(torch.cat(parts, dim=1), views, rtol=0, atol=0)


def test_a_resumed_epoch_continues_with_the_same_batches(dataset):
    torch.testing.assert_close(load(dataset)[2].images, load(dataset, first=2)[0].images, rtol=0, atol=0)


def test_epochs_seeds_and_views_differ(dataset):
    first = load(dataset)[0].images
    assert not torch.equal(first, load(dataset, epoch=1)[0].images)
    assert not torch.equal(first, load(dataset, seed=6)[0].images)
    assert not torch.equal(first[:8], first[8:])


def test_an_image_drawn_twice_is_augmented_twice(dataset):
    batches = PlannedBatches()
    batches.set_epoch(np.zeros((1, 2), dtype=np.int64), 0)
    (batch,) = train_loader(dataset, batches, workers=0, pin_memory=False)
    assert not torch.equal(batch.images[0], batch.images[1])


def test_workers_survive_the_epoch(dataset):
    batches = PlannedBatches(seed=5)
    loader = train_loader(dataset, batches, workers=1, pin_memory=False)
    for epoch in range(2):
        batches.set_epoch(PLAN, epoch)
        expected = load(dataset, epoch=epoch)
        for ours, theirs in zip(loader, expected, strict=True):
            torch.testing.assert_close(ours.images, theirs.images, rtol=0, atol=0)


def test_a_batch_that_cannot_be_shared(dataset):
    with pytest.raises(ValueError, match="8 images cannot be shared equally by 3 processes"):
        PlannedBatches(world_size=3).set_epoch(PLAN, 0)


def test_evaluation_takes_every_image_once(dataset):
    parts = [
        torch.cat([b.indices[: len(b) // 2] for b in eval_loader(dataset, rank=rank, world_size=3, **OPTIONS)])
        for rank in range(3)
    ]
    assert sorted(torch.cat(parts).tolist()) == list(range(24))


OPTIONS = {"batch_size": 5, "workers": 0, "pin_memory": False}
