"""Embedding a training set for its neighbours: whole images, and the head that is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torchvision.transforms import v2

from dml.config import DataConfig
from dml.data.images import read_image
from dml.data.records import ImageRecords
from dml.evaluation.embedding import embed_records
from dml.models import create_model
from dml.models.extract import background_of


@pytest.fixture
def records(digits) -> ImageRecords:
    paths = tuple(str(path) for path in sorted(digits.glob("*/*.png"))[:5])
    return ImageRecords(paths, np.zeros(5, np.int64), ("digit",))


@pytest.mark.parametrize("pillow", [False, True])
def test_the_background_of_whole_images_in_their_order(records, pillow):
    torch.manual_seed(0)
    model = create_model("resnet18", pretrained=False, embedding_size=4, background_size=7)
    config = DataConfig(batch_size=2, workers=0, resize=40, crop_size=32, pillow=pillow)
    fabric = Fabric(accelerator="cpu", devices=1)
    embedded = embed_records(model, records, config, fabric, progress="images", read=background_of, whole_images=True)
    order = [v2.Resize((40, 40)), v2.PILToTensor()] if pillow else [v2.PILToTensor(), v2.Resize((40, 40))]
    to_square = v2.Compose([*order, v2.ToDtype(torch.float32, scale=True)])
    images = model.input_spec.normalize(torch.stack([to_square(read_image(path)) for path in records.paths]))
    with torch.no_grad():
        expected = model.eval()(images).background
    torch.testing.assert_close(embedded, expected, rtol=1e-4, atol=1e-4)
