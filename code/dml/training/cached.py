"""Features of a backbone that does not change, computed once (``--cache-features``)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import Dataset

from dml.data import ImageRecords
from dml.data.images import ImageDataset, Sample, SampleKey
from dml.data.loader import eval_loader
from dml.evaluation.embedding import FabricEmbed
from dml.models import EmbeddingNet
from dml.structures import Batch, ModelOutput


def features_of(output: ModelOutput) -> Tensor:
    """(B, F) float32."""
    return output.features.float()


class CachedFeatures(Dataset):
    """In place of a training set of images: one row of features for each view of an image.

    An epoch takes of each image the view that its seed says, so that what is taken depends neither on the number of
    processes, nor on where a continued run begins.

    Args:
        views: K tensors (N, F), all images in the same order.
        records: the images.
    """

    def __init__(self, views: Sequence[Tensor], records: ImageRecords):
        self.views, self.records = torch.stack(list(views)), records

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: int | SampleKey) -> Sample:
        """The features of an image: with a plain index those of its first view."""
        index, seed = key if isinstance(key, SampleKey) else (int(key), 0)
        return Sample([self.views[seed % len(self.views), index]], int(self.records.labels[index]), index)


def cache_training_set(
    images: ImageDataset,
    model: EmbeddingNet,
    fabric: Fabric,
    *,
    seeds: Sequence[int | None],
    batch_size: int,
    workers: int,
) -> CachedFeatures:
    """The features of all images in as many views as there are seeds, on every process.

    Args:
        images: transformed as a step sees them.
        seeds: of the random transforms of each view; None: there are none.
        batch_size: over all processes.
    """
    read = FabricEmbed(fabric, features_of)
    views = []
    for number, seed in enumerate(seeds, start=1):
        loader = eval_loader(
            images,
            batch_size=max(1, batch_size // fabric.world_size),
            workers=workers,
            device=fabric.device,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            seed=seed,
        )
        rows, _, indices = read(model, loader, fabric.device, progress=f"features {number}/{len(seeds)}")
        views.append(rows[indices.argsort()])
    return CachedFeatures(views, images.records)


def seeds_of_views(seed: int, number: int | None) -> list[int | None]:
    """A seed for each of ``number`` views, by that of the run; None: one view without random transforms."""
    if number is None:
        return [None]
    return [int(value) for value in np.random.SeedSequence((seed, number)).generate_state(number)]


class RememberedBatches:
    """Batches of images when they are first iterated over, and of their features from then on.

    Args:
        batches: of images, the same each time.
        model: what becomes of its features afterwards may change, they may not.
        autocast: see ``dml.models.extract.embed``.
    """

    def __init__(self, batches: Iterable[Batch], model: EmbeddingNet, device: torch.device, autocast: Callable):
        self.batches, self.model, self.device, self.autocast = batches, model, device, autocast
        self._kept: list[Batch] | None = None

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        if self._kept is not None:
            yield from self._kept
            return
        kept = []
        for batch in self.batches:
            with self.autocast():
                output = self.model(batch.images.to(self.device, non_blocking=True))
            kept.append(Batch(features_of(output), batch.labels, batch.indices))
            yield kept[-1]
        self._kept = kept
