from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from dml.data.transforms import (
    Lighting,
    eval_transform,
    padded_crop_transform,
    train_transform,
    whole_image_transform,
)


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


@pytest.mark.parametrize("size", [(60, 40), (400, 300)])
def test_pillow_gives_the_published_pixels(size):
    """Every one, of every transform, where tensors are a level off."""
    whole, differing = v2.PILToTensor(), 0
    published = [
        v2.Compose([v2.Resize(32), v2.CenterCrop(24), whole]),
        v2.Compose([v2.Resize((32, 32)), whole]),
        v2.Compose([v2.Resize(24), v2.RandomCrop(24, padding=4), v2.RandomHorizontalFlip(), whole]),
        *(v2.Compose([*PUBLISHED[name], v2.RandomHorizontalFlip(), whole]) for name in PUBLISHED),
    ]
    for pillow in (True, False):
        ours = [
            eval_transform(keep, resize=32, crop_size=24, pillow=pillow),
            whole_image_transform(keep, side=32, pillow=pillow),
            padded_crop_transform(keep, crop_size=24, padding=4, pillow=pillow),
            *(
                train_transform(keep, crop_size=256 if name == "big" else 224, augmentation=name, pillow=pillow)
                for name in PUBLISHED
            ),
        ]
        for transform, expected in zip(ours, published, strict=True):
            torch.manual_seed(0)
            result = transform(photo(*size)) * 255
            torch.manual_seed(0)
            difference = (result.round() - expected(photo(*size))).abs().max()
            assert difference == 0 if pillow else difference <= 18
            differing += int(difference > 0)
    assert differing


def test_evaluation_without_resize():
    result = eval_transform(keep, resize=None, crop_size=24)(photo())
    assert torch.equal(result, as_tensor(photo())[:, 8:32, 18:42])


def test_a_whole_image_becomes_a_square_whatever_its_proportions():
    result = whole_image_transform(keep, side=32)(photo())
    assert result.shape == (3, 32, 32)
    corners = as_tensor(photo())[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(result[:, [0, 0, -1, -1], [0, -1, 0, -1]], corners, rtol=0, atol=0.1)


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


def test_lighting_adds_one_colour_along_the_components():
    """The shifts of many images vary by (0.1 λ)² along e, the components, and nowhere else."""
    torch.manual_seed(0)
    lighting, image = Lighting(), as_tensor(photo())
    shift = lighting(image) - image
    torch.testing.assert_close(shift, shift[:, :1, :1].expand_as(shift), rtol=0, atol=1e-6)
    shifts = torch.stack([lighting(torch.zeros(3, 1, 1)).flatten() for _ in range(4000)])
    stds = (shifts @ lighting.eigenvectors).std(0)
    torch.testing.assert_close(stds, 0.1 * lighting.eigenvalues, rtol=0.05, atol=1e-6)


def test_lighting_augmentation_changes_colours_alone():
    plain, changed = (
        train_transform(keep, crop_size=16, augmentation=name, crop_scale=(1.0, 1.0), flip=False)
        for name in ("base", "lighting")
    )
    image = photo(40, 40)
    torch.manual_seed(0)
    results = torch.stack([changed(image) for _ in range(64)])
    assert not torch.equal(results[0], results[1])
    assert (results.mean(0) - plain(image)).abs().mean() < 0.03  # the changes lie around none
    brightness = results.mean((1, 2, 3)) / plain(image).mean()
    assert 0.5 < brightness.min() < 0.75
    assert 1.1 < brightness.max() < 1.5  # less than in the middle of 0..1, where nothing is cut


PUBLISHED = {
    "base": [v2.RandomResizedCrop(224)],
    "big": [v2.RandomResizedCrop(256)],
    "adv": [v2.RandomResizedCrop(224), v2.RandomGrayscale(0.2), v2.ColorJitter(0.2, 0.2, 0.2, 0.2)],
    "red": [v2.Resize(256), v2.RandomCrop(224)],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_augmentations_are_the_published_ones(name):
    """The same draws give the same image but for rounding, which the published code does on PIL images."""
    published = v2.Compose([*PUBLISHED[name], v2.RandomHorizontalFlip(0.5), v2.PILToTensor()])
    ours = train_transform(keep, crop_size=256 if name == "big" else 224, augmentation=name)
    for seed in range(3):
        torch.manual_seed(seed)
        expected = published(photo(400, 300)) / 255
        torch.manual_seed(seed)
        difference = (ours(photo(400, 300)) - expected).abs()
        assert difference.mean() < 0.005
        assert difference.max() < 0.05


def test_red_crops_the_resized_image():
    transform = train_transform(keep, crop_size=20, augmentation="red", resize=24, flip=False)
    whole = eval_transform(keep, resize=24, crop_size=24)(photo(40, 40))
    places = {tuple(np.argwhere(windows(whole) == first(transform(photo(40, 40))))[0]) for _ in range(30)}
    assert len(places) > 5


def windows(image: torch.Tensor) -> np.ndarray:
    """(5, 5) bytes of every square of 20 pixels of a (3, 24, 24) image."""
    squares = image.unfold(1, 20, 1).unfold(2, 20, 1).permute(1, 2, 0, 3, 4)
    return np.array([[first(square) for square in row] for row in squares], dtype=object)


def first(image: torch.Tensor) -> bytes:
    return image.contiguous().numpy().tobytes()


def test_adv_changes_colours_and_takes_some_away():
    plain = as_tensor(photo(40, 40))
    transform = train_transform(keep, crop_size=40, augmentation="adv", crop_scale=(1.0, 1.0), flip=False)
    torch.manual_seed(0)
    images = [transform(photo(40, 40)) for _ in range(60)]
    grey = [bool((image == image[:1]).all()) for image in images]
    assert 3 <= sum(grey) <= 25  # of 60, 12 are expected
    assert all((image - plain).abs().max() > 0.02 for image in images)
    assert all(image.shape == (3, 40, 40) and image.min() >= 0 and image.max() <= 1 for image in images)


def test_big_is_base():
    """Its larger crops come from ``crop_size``."""
    base, big = (train_transform(keep, crop_size=16, augmentation=name) for name in ("base", "big"))
    torch.manual_seed(0)
    one = base(photo())
    torch.manual_seed(0)
    assert torch.equal(one, big(photo()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": "strong"}, "--augmentation 'strong' is not one of base, adv, big, red"),
        ({"augmentation": "red", "resize": 12}, "give --resize 16 or more"),
    ],
)
def test_impossible_augmentations(options, message):
    with pytest.raises(ValueError, match=message):
        train_transform(keep, crop_size=16, **options)


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


def test_padded_crops_are_shifted_images_with_a_black_border():
    image, padding = photo(32, 32), 4
    padded = torch.nn.functional.pad(as_tensor(image), (padding,) * 4)
    shifts = [padded[:, y : y + 32, x : x + 32] for y in range(9) for x in range(9)]
    candidates = torch.stack([shifted.flip(-1) if mirrored else shifted for shifted in shifts for mirrored in (0, 1)])
    transform = padded_crop_transform(keep, crop_size=32, padding=padding)
    torch.manual_seed(0)
    found = {int((candidates == transform(image)).all(-1).all(-1).all(-1).nonzero()[0, 0]) for _ in range(40)}
    assert len(found) > 25
    assert {index % 2 for index in found} == {0, 1}
    plain = padded_crop_transform(keep, crop_size=32, padding=0, flip=False)
    assert torch.equal(plain(image), as_tensor(image))
