"""From image files to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dml.data.decoding import pixels_of, warn_of_slow_jpeg
from dml.data.reading import UnreadableImageError, image_of, read_image
from dml.data.records import ImageRecords
from dml.structures import Batch

__all__ = [
    "ImageDataset",
    "Sample",
    "SampleKey",
    "Transform",
    "UnreadableImageError",
    "collate",
    "image_of",
    "read_image",
]


@dataclass(frozen=True)
class Transform:
    """From an image to what a network reads, in two parts: a loading process does one, the device the other.

    Bytes travel between them, a quarter of what numbers would take; each number follows from its byte alone, so that it
    is the same whether it is computed image by image or in batches, here or there.

    Attributes:
        crop: a PIL RGB image, or its pixels (3, H, W) uint8 unless ``pillow`` → (3, H, W) uint8. Draws from torch's
            global generator only.
        scale: (…, 3, H, W) uint8 → float32 as the network asks. None: ``crop`` gives that already.
        pillow: whether ``crop`` takes images alone, no pixels.
    """

    crop: Callable[[Any], Tensor]
    scale: Callable[[Tensor], Tensor] | None = None
    pillow: bool = False

    def __call__(self, image: Image.Image | Tensor) -> Tensor:
        """Both, of one image: (3, H, W) float32."""
        cropped = self.crop(image)
        return cropped if self.scale is None else self.scale(cropped)


class SampleKey(NamedTuple):
    """Which image to load, and the seed (0..2^63−1) of its random transforms."""

    index: int
    seed: int


class Sample(NamedTuple):
    """One loaded image: ``views`` of shape (3, H, W) each, before ``ImageDataset.scale``, its label and its position in
    the dataset."""

    views: list[Tensor]
    label: int
    index: int


class ImageDataset(Dataset):
    """A map-style dataset over image files.

    Args:
        records: the files and their labels.
        transform: from a PIL RGB image to a (3, H, W) tensor; draws from torch's global generator only. Of a
            ``Transform`` the first part, and the second one is left to who loads the batches.
        num_views: how often the transform is applied to each image, V ≥ 1.

    Attributes:
        scale: what is left to be done with batches of images, (B, 3, H, W); None: nothing.
    """

    def __init__(self, records: ImageRecords, transform: Callable[[Image.Image], Tensor], *, num_views: int = 1):
        if num_views < 1:
            raise ValueError(f"num_views must be at least 1, got {num_views}")
        self.records = records
        self.transform = transform
        self.num_views = num_views
        is_split = isinstance(transform, Transform)
        self.scale = transform.scale if is_split else None
        self._crop = transform.crop if is_split else transform
        self._read = pixels_of if is_split and not transform.pillow else image_of
        if self._read is pixels_of:
            warn_of_slow_jpeg(records.paths)

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
        image = self._read(self.records, index)
        views = [self._crop(image) for _ in range(self.num_views)]
        return Sample(views, int(self.records.labels[index]), index)


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of ``samples``, rows ordered view by view (see :class:`dml.structures.Batch`); images as they are in
    them.

    In a loading process it lies in shared memory: a batch that does not fit is an error here, which reaches the main
    process, whereas torch would lose it on the way there and let that wait for ever.
    """
    num_views = len(samples[0].views)
    images = torch.stack([sample.views[v] for v in range(num_views) for sample in samples])
    labels = torch.tensor([sample.label for sample in samples], dtype=torch.int64)
    indices = torch.tensor([sample.index for sample in samples], dtype=torch.int64)
    tensors = images, labels.repeat(num_views), indices.repeat(num_views)
    if get_worker_info() is not None:
        for tensor in tensors:
            tensor.share_memory_()
    return Batch(*tensors, num_views=num_views)
