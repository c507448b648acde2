"""From an image file to the tensors of a batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from dml.data.records import ImageRecords, PixelRecords
from dml.structures import Batch


class UnreadableImageError(OSError):
    """An image file that is missing, truncated or no image; the message names it."""


class SampleKey(NamedTuple):
    """Which image to load, and the seed (0..2^63−1) of its random transforms."""

    index: int
    seed: int


class Sample(NamedTuple):
    """One loaded image: ``views`` of shape (3, H, W) each, its label and its position in the dataset."""

    views: list[Tensor]
    label: int
    index: int


def read_image(path: str | os.PathLike[str]) -> Image.Image:
    """The image at ``path`` as 8-bit RGB.

    Greyscale is repeated over the channels, 16-bit greyscale scaled to 8 bits, transparency laid on white.

    NOTE: the published loaders drop the alpha channel (``convert("RGB")``), which shows whatever colour lies
    under transparent pixels; the four benchmarks have no transparent image, so no published figure changes.
    NOTE: the EXIF orientation is ignored, as in the published loaders.

    Raises:
        UnreadableImageError: if the file is missing, truncated or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return _to_rgb(image)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"image file is missing: {path}") from error
    # Pillow's decoders report damage by any of these.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"cannot read image {path}: {error}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        # convert("RGB") would clip at 255 instead of scaling. 65535 / 257 = 255.
        pixels = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        return Image.fromarray(pixels.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def image_of(records: ImageRecords, index: int) -> Image.Image:
    """Image ``index`` of ``records`` as 8-bit RGB.

    Raises:
        UnreadableImageError: see :func:`read_image`.
    """
    if isinstance(records, PixelRecords):
        return Image.fromarray(records.pixels[index])
    return read_image(records.paths[index])


class ImageDataset(Dataset):
    """A map-style dataset over image files.

    Args:
        records: the files and their labels.
        transform: from a PIL RGB image to a (3, H, W) tensor; draws from torch's global generator only.
        num_views: how often the transform is applied to each image, V ≥ 1.
    """

    def __init__(self, records: ImageRecords, transform: Callable[[Image.Image], Tensor], *, num_views: int = 1):
        if num_views < 1:
            raise ValueError(f"num_views must be at least 1, got {num_views}")
        self.records = records
        self.transform = transform
        self.num_views = num_views

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | SampleKey) -> Sample:
        """The sample at ``key``.

        With a :class:`SampleKey` the views depend on its seed alone, so that they are the same whichever
        worker loads them, and the global generator is left as it was. With a plain index they are drawn from
        the global generator as it stands.

        Raises:
            UnreadableImageError: see :func:`read_image`.
        """
        if not isinstance(key, SampleKey):
            return self._load(int(key))
        state = torch.get_rng_state()
        try:
            # Not torch.manual_seed, which would seed the GPUs' generators too.
            torch.default_generator.manual_seed(key.seed)
            return self._load(int(key.index))
        finally:
            torch.set_rng_state(state)

    def _load(self, index: int) -> Sample:
        image = image_of(self.records, index)
        views = [self.transform(image) for _ in range(self.num_views)]
        return Sample(views, int(self.records.labels[index]), index)


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of ``samples``, rows ordered view by view (see :class:`dml.structures.Batch`)."""
    num_views = len(samples[0].views)
    images = torch.stack([sample.views[v] for v in range(num_views) for sample in samples])
    labels = torch.tensor([sample.label for sample in samples], dtype=torch.int64)
    indices = torch.tensor([sample.index for sample in samples], dtype=torch.int64)
    return Batch(images, labels.repeat(num_views), indices.repeat(num_views), num_views=num_views)
