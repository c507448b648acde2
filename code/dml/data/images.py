"""From image files to the tensors of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from dml.data.reading import UnreadableImageError, image_of, read_image
from dml.data.records import ImageRecords
from dml.structures import Batch

__all__ = ["ImageDataset", "Sample", "SampleKey", "UnreadableImageError", "collate", "image_of", "read_image"]


class SampleKey(NamedTuple):
    """Which image to load, and the seed (0..2^63−1) of its random transforms."""

    index: int
    seed: int


class Sample(NamedTuple):
    """One loaded image: ``views`` of shape (3, H, W) each, its label and its position in the dataset."""

    views: list[Tensor]
    label: int
    index: int


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
    """A batch of ``samples``, rows ordered view by view (see :class:`dml.structures.Batch`).

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
