"""The embeddings of a whole data set, computed by all processes together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from dml.config import DataConfig
from dml.data import ImageRecords
from dml.data.images import ImageDataset
from dml.data.loader import eval_loader
from dml.data.transforms import eval_transform, whole_image_transform
from dml.evaluation.evaluator import Evaluator
from dml.models import EmbeddingNet
from dml.models.extract import embed, embedding_of
from dml.models.input_spec import InputSpec
from dml.processes import gather_rows
from dml.structures import Batch


class FabricEmbed:
    """``dml.models.extract.embed`` in the run's precision, each process embedding its share of the images.

    Args:
        fabric: the run's.
        read: takes a row for each image out of what the model returns.

    Attributes:
        together: all processes embed, and all are given all embeddings (``dml.evaluation.evaluator.Embed``).
    """

    together = True

    def __init__(self, fabric: Fabric, read: Callable[[Any], Tensor] = embedding_of):
        self.fabric, self.read = fabric, read

    def __call__(
        self, model: nn.Module, batches: Iterable[Batch], device: torch.device, *, progress: str | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rows (N, D), labels (N,), dataset indices (N,) of all processes' batches, on the CPU."""
        bar = progress if self.fabric.is_global_zero else None
        local = embed(model, batches, device, read=self.read, progress=bar, autocast=self.fabric.autocast)
        if self.fabric.world_size == 1:
            return local
        return self._gather(*local)

    def _gather(self, embeddings: Tensor, labels: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # With fewer images than processes, some have loaded another's, and thus know what a row looks like.
        own = indices % self.fabric.world_size == self.fabric.global_rank
        embeddings, labels, indices = embeddings[own], labels[own], indices[own]
        # Shares differ by one row at most: shorter ones are padded, and padding is told by its index.
        rows = int(self.fabric.all_reduce(torch.tensor(len(labels), device=self.fabric.device), reduce_op="max"))
        padded = (self._pad(embeddings, rows, 0), self._pad(labels, rows, 0), self._pad(indices, rows, -1))
        gathered = [gather_rows(t.to(self.fabric.device)).cpu() for t in padded]
        real = gathered[2] >= 0
        return tuple(t[real] for t in gathered)

    @staticmethod
    def _pad(tensor: Tensor, rows: int, value: int) -> Tensor:
        return torch.cat([tensor, tensor.new_full((rows - len(tensor), *tensor.shape[1:]), value)])


def eval_batches(
    records: ImageRecords,
    *,
    fabric: Fabric,
    input_spec: InputSpec,
    resize: int,
    crop_size: int | None,
    batch_size: int,
    workers: int,
    whole_images: bool = False,
    pillow: bool = False,
) -> DataLoader[Batch]:
    """This process's share of ``records``, transformed as in evaluation, with the network's own normalisation.

    Args:
        crop_size: None takes the network's own.
        batch_size: over all processes.
        whole_images: scale images to ``resize`` × ``resize`` pixels instead of cutting out their centre.
        pillow: transform them by Pillow instead of on tensors.
    """
    how = {"pillow": pillow, "interpolation": input_spec.interpolation}
    if whole_images:
        transform = whole_image_transform(input_spec.normalize, side=resize, **how)
    else:
        crop_size = input_spec.crop_size if crop_size is None else crop_size
        transform = eval_transform(input_spec.normalize, resize=resize, crop_size=crop_size, **how)
    return eval_loader(
        ImageDataset(records, transform),
        batch_size=max(1, batch_size // fabric.world_size),
        workers=workers,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
    )


def embed_records(
    model: EmbeddingNet,
    records: ImageRecords,
    config: DataConfig,
    fabric: Fabric,
    *,
    progress: str,
    read: Callable[[Any], Tensor] = embedding_of,
    whole_images: bool = False,
) -> Tensor:
    """(N, D) float32 embeddings of ``records`` on the CPU, in their order, the same on every process.

    Args:
        read: takes a row for each image out of what the model returns.
        whole_images: see ``eval_batches``.
    """
    batches = eval_batches(
        records,
        fabric=fabric,
        input_spec=model.input_spec,
        resize=config.resize,
        crop_size=config.crop_size,
        batch_size=config.batch_size,
        workers=config.workers,
        whole_images=whole_images,
        pillow=config.pillow,
    )
    embeddings, _, indices = FabricEmbed(fabric, read)(model, batches, fabric.device, progress=progress)
    return embeddings[indices.argsort()]


def create_evaluator(
    query: ImageRecords,
    gallery: ImageRecords | None,
    *,
    fabric: Fabric,
    input_spec: InputSpec,
    resize: int,
    crop_size: int | None,
    batch_size: int,
    workers: int,
    image_numbers: Sequence[np.ndarray] | None,
    pillow: bool = False,
    **options,
) -> Evaluator:
    """An evaluator over image files; see ``eval_batches`` for how they are read.

    Args:
        image_numbers: of ``query`` and, where there is one, of ``gallery``: images of equal numbers never answer each
            other, see ``same_image``; None: only itself does not answer a query.
        options: of ``Evaluator``: recall_ks, metrics, distance, ties_count_for_query, seed.
    """
    reading = {
        "fabric": fabric,
        "input_spec": input_spec,
        "resize": resize,
        "crop_size": crop_size,
        "batch_size": batch_size,
        "workers": workers,
        "pillow": pillow,
    }
    loaders = [None if records is None else eval_batches(records, **reading) for records in (query, gallery)]
    ids = None if image_numbers is None else [torch.from_numpy(numbers) for numbers in image_numbers]
    image_ids = None if ids is None else (ids[0], ids[-1])
    return Evaluator(*loaders, embed=FabricEmbed(fabric), image_ids=image_ids, **options)
