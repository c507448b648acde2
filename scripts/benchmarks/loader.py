"""The data loader: images per second and worker, and what share of a training step waits for data."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.measure import Options, Row
from benchmarks.pipeline import Loading, TrainingStep, photographs

IMAGES, BATCH, CROP = 256, 32, 224


def rows(options: Options) -> Iterator[Row]:
    """Photographs of CUB's size, stored as JPEG, cropped to 224 × 224."""
    step = TrainingStep("resnet18", options)
    with photographs(IMAGES) as records:
        for workers in sorted({1, options.threads}):
            loading = Loading(records, crop_size=CROP, batch_size=BATCH, workers=workers)
            rate = images_per_second(loading) / workers
            yield Row(f"loader: images per second, each of {workers} workers", rate, "1/s")
        share = waiting_share(loading, step)
        yield Row(f"loader: share of resnet18 steps that waits, {workers} workers", share, "share")


def images_per_second(loading: Loading) -> float:
    """Over two epochs, after one that starts the workers and fills the file cache."""
    for _ in loading.epoch(0):
        pass
    start = time.perf_counter()
    images = sum(len(batch) for epoch in (1, 2) for batch in loading.epoch(epoch))
    return images / (time.perf_counter() - start)


def waiting_share(loading: Loading, step: TrainingStep) -> float:
    """Time in the loader's ``next`` over all time, of an epoch of steps."""
    waited, start, source = 0.0, time.perf_counter(), loading.epoch(3)
    while True:
        asked = time.perf_counter()
        batch = next(source, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - start)
        step.trainers(batch.to(step.device))
