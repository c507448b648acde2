"""Each network's own normalisation."""

from __future__ import annotations

import pickle

import pytest
import torch

from dml.models import BACKBONES
from dml.models.input_spec import CAFFE_BGR, IMAGENET_RGB


def test_torchvision_networks_want_rgb_with_imagenet_statistics():
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 2, 2)
    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])
    torch.testing.assert_close(IMAGENET_RGB.normalize(red)[:, 0, 0], expected)


def test_caffe_networks_want_bgr_in_0_255_minus_the_mean():
    image = torch.tensor([1.0, 0.5, 0.0])[:, None, None].expand(2, 3, 4, 4)  # RGB
    expected = torch.tensor([0.0 - 104, 127.5 - 117, 255.0 - 128])
    torch.testing.assert_close(CAFFE_BGR.normalize(image)[1, :, 3, 3], expected)


@pytest.mark.parametrize("spec", [IMAGENET_RGB, CAFFE_BGR])
def test_the_input_stays_as_it_was_and_batches_equal_single_images(spec):
    images = torch.rand(2, 5, 3, 4, 4)
    before = images.clone()
    normalized = spec.normalize(images)
    assert torch.equal(images, before)
    assert torch.equal(normalized[1, 2], spec.normalize(images[1, 2]))


def test_normalize_pickles_as_a_transform():
    images = torch.rand(3, 4, 4)
    again = pickle.loads(pickle.dumps(CAFFE_BGR.normalize))
    assert torch.equal(again(images), CAFFE_BGR.normalize(images))


def test_integer_images_are_refused():
    with pytest.raises(TypeError, match="uint8"):
        IMAGENET_RGB.normalize(torch.zeros(3, 2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("name", "crop_size", "bgr"),
    [("bn_inception", 224, True), ("inception_v1", 227, True), ("googlenet", 224, False), ("resnet18", 224, False)],
)
def test_every_backbone_names_its_own(name, crop_size, bgr):
    spec = BACKBONES[name]().input_spec
    assert (spec.crop_size, spec.bgr) == (crop_size, bgr)
