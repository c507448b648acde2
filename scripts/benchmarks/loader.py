"""The data loader: what an image costs, images per second and worker, what share of a step waits for data."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks.measure import Options, Row
from benchmarks.pipeline import PHOTO, Loading, TrainingStep, photographs
from dml.data.image_cache import in_memory, measured
from dml.data.records import ImageRecords

IMAGES, BATCH, CROP = 256, 32, 224
EPOCHS, REPEATS = 3, 2  # of what is measured in processor time


def rows(options: Options) -> Iterator[Row]:
    """Photographs of CUB's size, stored as JPEG, cropped to 224 × 224."""
    step = TrainingStep("resnet18", options)
    with photographs(IMAGES) as records:
        yield from costs(records.take(range(IMAGES // 2)))
        for workers in sorted({1, options.threads}):
            loading = Loading(records, crop_size=CROP, batch_size=BATCH, workers=workers)
            rate = images_per_second(loading) / workers
            yield Row(f"loader: images per second, each of {workers} workers", rate, "1/s")
        share = waiting_share(loading, step)
        yield Row(f"loader: share of resnet18 steps that waits, {workers} workers", share, "share")


def costs(records: ImageRecords) -> Iterator[Row]:
    """Processor time from a JPEG file to its numbers in the main process; its yardstick reads by Pillow, and sends
    numbers where bytes are sent otherwise."""
    cached = replace(records, cache=in_memory(measured([records.key(index) for index in range(len(records))])))
    ways = {"plain": (records, True), "from its file": (records, False), "from the cache": (cached, False)}
    spent = {way: np.full(2, np.inf) for way in ways}
    for _ in range(REPEATS):
        for way, (images, plain) in ways.items():
            long, short = (_cpu_seconds_of(images, epochs, plain=plain) for epochs in (EPOCHS + 1, 1))
            spent[way] = np.minimum(spent[way], 1e3 * (long - short) / (EPOCHS * len(records)))
    image, plain = f"loader: an image of {PHOTO[0]} × {PHOTO[1]}", spent.pop("plain").tolist()
    for limit, (way, times) in zip((0.7, 0.25), spent.items(), strict=True):
        loading, main = times.tolist()
        yield Row.cost(f"{image} {way}, processor time of workers", loading, "ms", yardstick=plain[0], limit=limit)
        yield Row.cost(f"{image} {way}, of all processes", loading + main, "ms", yardstick=sum(plain))


def _cpu_seconds_of(records: ImageRecords, epochs: int, *, plain: bool) -> np.ndarray:
    """(2,) processor time of one process that loads ``epochs`` from its start to its end, and of this one meanwhile."""
    start = _cpu_seconds()
    loading = Loading(records, crop_size=CROP, batch_size=BATCH, workers=1, plain=plain)
    for epoch in range(epochs):
        for _ in loading.epoch(epoch):
            pass
    del loading  # with its process, which is counted when it has ended
    return _cpu_seconds() - start


def _cpu_seconds() -> np.ndarray:
    """(2,) of the processes that have ended, and of this one."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF))
    return np.array([usage.ru_utime + usage.ru_stime for usage in usages])


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
