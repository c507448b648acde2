"""Features of whole sets of images in a folder, for every run of the same frozen network over them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from dml.config import DataConfig
from dml.data import ImageRecords
from dml.data.records import PixelRecords
from dml.evaluation.embedding import embed_records
from dml.models import EmbeddingNet
from dml.models.extract import features_of
from dml.structures import Batch
from dml.writing import locked, replacing

BATCH = 64
"""Images in a pass through the network, whatever a run's batches: the same rows for every run, to the last digit."""


class FeatureStore:
    """Rows of ``folder/<digest>.npy``, which the first run that asks computes while others wait.

    A file holds the features of one whole set, ordered by path: of the training half, whichever of its classes are
    held out, or of a part of the test split. The digest is that of the network's weights below its head, of what is
    done to the images, and of the images: paths, sizes and times of change.

    Args:
        folder: is made.
        model: on its device; whole frozen.
        precision: ``--precision``.
    """

    def __init__(self, folder: Path, model: EmbeddingNet, config: DataConfig, fabric: Fabric, *, precision: str):
        self.folder, self.model, self.fabric = folder, model, fabric
        self.config = replace(config, batch_size=BATCH * fabric.world_size)
        self._how = hashlib.blake2b(digest_size=16)
        seen = (config.resize, config.crop_size, config.pillow, model.input_spec, precision, fabric.device.type)
        self._how.update(repr((model.architecture.backbone, model.architecture.pooling, seen)).encode())
        for part in (model.backbone, model.pool):
            for name, tensor in part.state_dict().items() if isinstance(part, torch.nn.Module) else ():
                self._how.update(name.encode())
                self._how.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())

    def rows(self, records: ImageRecords, *, within: Sequence[ImageRecords]) -> Tensor:
        """(N, F) float32 features of ``records``, in their order.

        Args:
            within: the disjoint parts of the whole set that they belong to.
        """
        whole = _whole(within)
        file = self.folder / f"{self._digest(whole)}.npy"
        if not self.fabric.broadcast(file.is_file()):
            self._fill(file, whole)
        place = {path: row for row, path in enumerate(whole.paths)}
        kept = np.load(file, mmap_mode="r")
        return torch.from_numpy(kept[[place[path] for path in records.paths]])

    def batches(self, records: ImageRecords, *, within: Sequence[ImageRecords], size: int) -> StoredBatches:
        """This process's share of ``records`` as batches of features."""
        return StoredBatches(self, records, within, size)

    def _fill(self, file: Path, whole: ImageRecords) -> None:
        """Compute the rows of all of ``whole``, unless another run has in the meantime."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = locked(file.with_suffix(".lock")) if self.fabric.is_global_zero else None
        try:
            if self.fabric.broadcast(file.is_file()):
                return
            rows = embed_records(
                self.model, whole, self.config, self.fabric, progress="features for all runs", read=features_of
            )
            if self.fabric.is_global_zero:
                with replacing(file) as stream:
                    np.save(stream, rows.numpy())
            self.fabric.barrier()
        finally:
            if lock is not None:
                lock.close()

    def _digest(self, whole: ImageRecords) -> str:
        digest = self._how.copy()
        digest.update(repr((whole.upright, whole.bits)).encode())
        if isinstance(whole, PixelRecords):
            digest.update(np.ascontiguousarray(whole.pixels))
        for path in whole.paths:
            seen = None if isinstance(whole, PixelRecords) else Path(path).stat()
            digest.update(repr((path, seen and (seen.st_size, seen.st_mtime_ns))).encode())
        return digest.hexdigest()


class StoredBatches:
    """Batches of features in place of those of an ``eval_loader`` over the images; see ``FeatureStore.batches``."""

    def __init__(self, store: FeatureStore, records: ImageRecords, within: Sequence[ImageRecords], size: int):
        fabric = store.fabric
        self.store, self.records, self.within = store, records, within
        own = np.arange(fabric.global_rank, len(records), fabric.world_size)
        own = own if len(own) else np.arange(1)  # with fewer images than processes some take another's
        self.indices = np.array_split(own, max(1, -(-len(own) // max(1, size // fabric.world_size))))

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Batch]:
        rows, labels = self.store.rows(self.records, within=self.within), torch.from_numpy(self.records.labels)
        for indices in map(torch.from_numpy, self.indices):
            yield Batch(rows[indices], labels[indices], indices)


def _whole(parts: Sequence[ImageRecords]) -> ImageRecords:
    """All images of ``parts`` ordered by path, as one class."""
    first = parts[0]
    paths = np.array([path for part in parts for path in part.paths], dtype=object)
    order = np.argsort(paths.astype(str), kind="stable")
    changes = {}
    if isinstance(first, PixelRecords):
        changes["pixels"] = np.concatenate([part.pixels for part in parts if isinstance(part, PixelRecords)])[order]
    return replace(
        first,
        paths=tuple(paths[order]),
        labels=np.zeros(len(paths), dtype=np.int64),
        class_names=("",),
        **changes,
    )
