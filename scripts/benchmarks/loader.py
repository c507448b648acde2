"""The data loader: images per second and worker, and what share of a training step waits for data."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.measure import Options, Row
from benchmarks.step import TrainingStep
from dml.data.images import ImageDataset
from dml.data.loader import PlannedBatches, train_loader
from dml.data.records import ImageRecords
from dml.data.samplers import RandomSampler
from dml.data.transforms import train_transform
from dml.models import create_model

IMAGES, BATCH = 256, 32
PHOTO = (500, 375)  # what CUB's and Cars' images are like


def rows(options: Options) -> Iterator[Row]:
    """Photographs of CUB's size, stored as JPEG, read as BN-Inception and the ResNets read them."""
    step = TrainingStep("resnet18", BATCH, options)
    with tempfile.TemporaryDirectory() as folder:
        records = _photographs(Path(folder))
        spec = create_model("resnet18", pretrained=False).input_spec
        dataset = ImageDataset(records, train_transform(spec.normalize, crop_size=spec.crop_size))
        for workers in sorted({1, options.threads}):
            loader, batches = _loader(dataset, workers)
            rate = _images_per_second(loader, batches) / workers
            yield Row("loader: images per worker", rate, f"images/s, {workers} workers")
        share = _waiting_share(loader, batches, step)
        yield Row("loader: share of a resnet18 step that waits for data", share, f"of 1, {workers} workers")


def _photographs(folder: Path) -> ImageRecords:
    """Smooth random pictures, whose JPEG files are as large as photographs'."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(IMAGES):
        coarse = generator.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize(PHOTO, Image.Resampling.BICUBIC)
        path = folder / f"{number:03d}.jpg"
        picture.save(path, quality=90)
        paths.append(str(path))
    labels = np.arange(IMAGES, dtype=np.int64) % 16
    return ImageRecords(tuple(paths), labels, tuple(map(str, range(16))))


def _loader(dataset: ImageDataset, workers: int) -> tuple[DataLoader, PlannedBatches]:
    batches = PlannedBatches()
    return train_loader(dataset, batches, workers=workers, pin_memory=False), batches


def _epoch(loader: DataLoader, batches: PlannedBatches, epoch: int):
    batches.set_epoch(RandomSampler(loader.dataset.records.labels, batch_size=BATCH).plan(epoch), epoch)
    return iter(loader)


def _images_per_second(loader: DataLoader, batches: PlannedBatches) -> float:
    for _ in _epoch(loader, batches, 0):  # starts the workers and fills the file cache
        pass
    start = time.perf_counter()
    images = sum(len(batch) for epoch in (1, 2) for batch in _epoch(loader, batches, epoch))
    return images / (time.perf_counter() - start)


def _waiting_share(loader: DataLoader, batches: PlannedBatches, step: TrainingStep) -> float:
    waited, start, source = 0.0, time.perf_counter(), _epoch(loader, batches, 3)
    while True:
        asked = time.perf_counter()
        batch = next(source, None)
        waited += time.perf_counter() - asked
        if batch is None:
            break
        step(batch.images.to(step.device), batch.labels.to(step.device))
        if step.device.type == "cuda":
            torch.cuda.synchronize()
    return waited / (time.perf_counter() - start)
