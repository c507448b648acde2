"""What needs no training finds what it can: colours by histogram, layouts by pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image

from dml.data import ImageRecords, RetrievalData
from dml.evaluation.baselines import COLOURS, PIXELS, Judge, to_beat
from dml.evaluation.embedding import create_evaluator
from dml.evaluation.glances import colour_histogram, look_at
from dml.models.input_spec import IMAGENET_RGB

CLASSES = 6


def squares(folder, *, by_colour: bool) -> ImageRecords:
    """Squares on white: a class has its colour and any place, or its place and any colour."""
    rng, paths, names = np.random.default_rng(0), [], []
    for label in range(CLASSES):
        for number in range(4):
            own, other = label, int(rng.integers(CLASSES))
            colour, place = (own, other) if by_colour else (other, own)
            image = np.full((60, 60, 3), 250, np.uint8) - rng.integers(0, 5, (60, 60, 3), dtype=np.uint8)
            left = 8 * place + int(rng.integers(3))
            paint = Image.new("HSV", (1, 1), (40 * colour, 255, 220)).convert("RGB")
            image[10:50, left : left + 12] = np.asarray(paint)
            paths.append(str(folder / f"{label}_{number}.png"))
            names.append(str(label))
            Image.fromarray(image).save(paths[-1])
    return ImageRecords.from_classes(paths, names)


@pytest.mark.parametrize(("by_colour", "better"), [(True, COLOURS), (False, PIXELS)])
def test_each_finds_its_own(tmp_path, by_colour, better):
    images = squares(tmp_path, by_colour=by_colour)
    data = RetrievalData("folder", images, images, None, None, (1, 2))
    fabric = Fabric(accelerator="cpu", devices=1)
    reading = {"input_spec": IMAGENET_RGB, "resize": 8, "crop_size": 8, "batch_size": 8, "workers": 0}
    evaluator = create_evaluator(images, None, fabric=fabric, image_numbers=None, recall_ks=(1, 2), **reading)
    found = Judge(data, evaluator, None, fabric.device).of_images([look_at(images)])
    assert list(found) == [PIXELS, COLOURS]
    assert found[better]["recall_at_1"] > 0.9 > 0.6 > min(metrics["recall_at_1"] for metrics in found.values())
    assert to_beat(found).startswith("to beat, without training: small pixels R@1 ")


def test_rows_of_a_gallery_of_its_own(tmp_path):
    images = squares(tmp_path, by_colour=True)
    data = RetrievalData("folder", images, images.take(range(5)), images.take(range(5, 24)), None, (1,))
    fabric = Fabric(accelerator="cpu", devices=1)
    reading = {"input_spec": IMAGENET_RGB, "resize": 8, "crop_size": 8, "batch_size": 8, "workers": 0}
    evaluator = create_evaluator(data.query, data.gallery, fabric=fabric, image_numbers=None, recall_ks=(1,), **reading)
    rows = [torch.eye(CLASSES)[torch.from_numpy(part.labels)] for part in (data.query, data.gallery)]
    found = Judge(data, evaluator, None, fabric.device).of_rows(rows)
    assert found["recall_at_1"] == 0.2, "of the first five images the fifth alone has its class in the gallery"


def test_a_histogram_is_of_colours_alone():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    here, there = (colour_histogram(Image.fromarray(pixels)) for pixels in (image, image[::-1, ::-1]))
    np.testing.assert_allclose(here, there)
    np.testing.assert_allclose(here @ here, 1, rtol=1e-6)
    red, blue = (colour_histogram(Image.new("RGB", (9, 9), colour)) for colour in ("red", "blue"))
    assert red @ blue == 0
