from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from dml.data.transforms import eval_transform, train_transform


def keep(image: torch.Tensor) -> torch.Tensor:
    return image


def as_tensor(image: Image.Image) -> torch.Tensor:
    return v2.functional.to_dtype(v2.functional.pil_to_tensor(image), torch.float32, scale=True)


def photo(width: int = 60, height: int = 40) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def test_evaluation_takes_the_central_square_of_the_resized_image():
    image = photo()
    result = eval_transform(keep, resize=32, crop_size=24)(image)
    published = v2.Compose([v2.Resize(32), v2.CenterCrop(24), v2.PILToTensor()])(image)
    assert result.shape == (3, 24, 24)
    assert result.dtype == torch.float32
    assert (result * 255 - published).abs().max() <= 1.001  # one level of 8 bits


def test_evaluation_without_resize():
    result = eval_transform(keep, resize=None, crop_size=24)(photo())
    assert torch.equal(result, as_tensor(photo())[:, 8:32, 18:42])


def test_square_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="--resize 288"):
        eval_transform(keep, resize=256, crop_size=288)


def test_training_draws_crops():
    transform = train_transform(keep, crop_size=16)
    torch.manual_seed(0)
    first, second = transform(photo()), transform(photo())
    assert first.shape == second.shape == (3, 16, 16)
    assert not torch.equal(first, second)
    assert 0 <= first.min() <= first.max() <= 1


def test_crop_of_the_whole_image_without_flip_is_fixed():
    transform = train_transform(keep, crop_size=16, crop_scale=(1.0, 1.0), flip=False)
    assert torch.equal(transform(photo(40, 40)), transform(photo(40, 40)))


def test_flip_mirrors_half_of_the_images():
    transform = train_transform(keep, crop_size=40, crop_scale=(1.0, 1.0), flip=True)
    image = photo(40, 40)
    plain = as_tensor(image)
    torch.manual_seed(0)
    mirrored = [torch.equal(transform(image), plain.flip(-1)) for _ in range(40)]
    assert 10 <= sum(mirrored) <= 30


def test_resize_comes_before_the_training_crop():
    transform = train_transform(keep, crop_size=20, resize=20, crop_scale=(1.0, 1.0), flip=False)
    image = photo(40, 40)
    once = eval_transform(keep, resize=20, crop_size=20)(image)
    assert torch.equal(transform(image), once)


def test_normalisation_comes_last():
    def to_bgr_bytes(image: torch.Tensor) -> torch.Tensor:
        assert 0 <= image.min() <= image.max() <= 1
        return image.flip(0) * 255

    plain = eval_transform(keep, resize=32, crop_size=24)(photo())
    assert torch.equal(eval_transform(to_bgr_bytes, resize=32, crop_size=24)(photo()), plain.flip(0) * 255)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)])
def test_impossible_crop_scale(scale):
    with pytest.raises(ValueError, match="crop scale"):
        train_transform(keep, crop_size=16, crop_scale=scale)
