"""Whether two crops of an image find each other: a measure that needs no labels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import Tensor, nn

from dml.config import DataConfig
from dml.data import ImageRecords
from dml.data.images import ImageDataset
from dml.data.transforms import train_transform
from dml.evaluation import two_views
from dml.evaluation.two_views import agreement
from dml.models.input_spec import IMAGENET_RGB

CONFIG = DataConfig(resize=16, crop_size=16, batch_size=8, workers=0)
IMAGES = 12


class MeanColour(nn.Module):
    """Knows an image of about one colour by any crop."""

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(embedding=images.mean((2, 3)))


class OneAnswer(nn.Module):
    """Gives every image the same embedding."""

    def forward(self, images: Tensor) -> SimpleNamespace:
        return SimpleNamespace(embedding=torch.ones(len(images), 3))


@pytest.fixture
def crops(tmp_path) -> ImageDataset:
    paths = [str(tmp_path / f"{number:02d}.png") for number in range(IMAGES)]
    rng = np.random.default_rng(0)
    for number, path in enumerate(paths):
        paint = np.asarray(Image.new("HSV", (24, 24), (20 * number, 200, 200)).convert("RGB"))
        Image.fromarray((paint + rng.integers(-5, 6, paint.shape)).clip(0, 255).astype(np.uint8)).save(path)
    records = ImageRecords(tuple(paths), np.zeros(IMAGES, dtype=np.int64), ("images",))
    transform = train_transform(
        IMAGENET_RGB.normalize, crop_size=16, resize=16, interpolation=IMAGENET_RGB.interpolation
    )
    return ImageDataset(records, transform, num_views=2)


def judged(model: nn.Module, crops: ImageDataset, *, distance: str = "euclidean") -> float:
    return agreement(model, crops, CONFIG, Fabric(accelerator="cpu", devices=1), distance=distance, seed=0)


def test_a_network_that_knows_an_image_by_any_crop_and_one_that_knows_none(crops):
    assert judged(MeanColour(), crops) == 1
    assert judged(OneAnswer(), crops) <= 1 / IMAGES, "all tie: chance at best"


def test_it_is_the_same_each_time_and_the_two_crops_differ(crops):
    seen = []

    class Watched(MeanColour):
        def forward(self, images: Tensor) -> SimpleNamespace:
            seen.append(images)
            return super().forward(images)

    assert judged(Watched(), crops) == judged(Watched(), crops)
    views = torch.cat(seen).reshape(4, IMAGES, *seen[0].shape[1:])
    assert torch.equal(views[:2], views[2:])
    assert not torch.isclose(views[0], views[1]).flatten(1).all(1).any()


def test_of_many_images_a_random_part_is_looked_at(crops, monkeypatch):
    monkeypatch.setattr(two_views, "MOST", 5)
    counted = []

    class Counting(MeanColour):
        def forward(self, images: Tensor) -> SimpleNamespace:
            counted.append(len(images))
            return super().forward(images)

    judged(Counting(), crops)
    assert sum(counted) == 2 * 5
