"""What must not grow with the size of a data set, a batch or a photograph: plans, random triplets, pictures, copies."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.measure import Options, Row, cpu_seconds, peak_memory_gb
from dml.data.copies import same_image
from dml.data.reading import image_of
from dml.data.records import ImageRecords
from dml.data.samplers import ClassBalancedBatchSampler
from dml.evaluation.plots.gallery import SHOWN_PIXELS
from dml.miners import create_miner
from dml.neighbours import nearest_neighbours

NUM_IMAGES, NUM_CLASSES, BATCH, IMAGES_PER_CLASS = 400_000, 40_000, 120, 4
TRIPLET_BATCH, TRIPLET_CLASSES = 2000, 100
PHOTOGRAPH = (4000, 3000)
GALLERY, DIMENSIONS, QUERIES = 20_000, 128, 2000
FILES = 20_000
PLAN_LIMIT_GB = 0.1


def rows(options: Options) -> Iterator[Row]:
    """Processor time against doing the same without thrift, and the memory of a plan."""
    yield _plan_row()
    memory = peak_memory_gb(_labels, _plan, options)
    yield Row.cost("plan: memory, 400,000 images, 40,000 classes", memory, "GB", limit=PLAN_LIMIT_GB)
    yield _triplets_row()
    yield _pictures_row()
    yield _searches_row()
    yield _copies_row()


def _labels(_: torch.device) -> np.ndarray:
    return np.arange(NUM_IMAGES) % NUM_CLASSES


def _plan(labels: np.ndarray) -> None:
    ClassBalancedBatchSampler(labels, batch_size=BATCH, images_per_class=IMAGES_PER_CLASS).plan(0)


def _plan_row() -> Row:
    labels, rng = _labels(torch.device("cpu")), np.random.default_rng(0)
    number, num_batches = BATCH // IMAGES_PER_CLASS, NUM_IMAGES // BATCH

    def table() -> None:
        np.argpartition(rng.random((num_batches, NUM_CLASSES)), number - 1, axis=1)

    seconds, yardstick = cpu_seconds(lambda: _plan(labels), table, repeats=2)
    return Row.speedup("plan: 40,000 classes, a table, CPU", seconds, "s", yardstick=yardstick, limit=5.0)


def _triplets_row() -> Row:
    labels = torch.arange(TRIPLET_BATCH) % TRIPLET_CLASSES
    distances, miner = torch.zeros(TRIPLET_BATCH, TRIPLET_BATCH), create_miner("random", embedding_size=8)
    per_class = TRIPLET_BATCH // TRIPLET_CLASSES
    possible = TRIPLET_BATCH * (per_class - 1) * (TRIPLET_BATCH - per_class)
    seconds, yardstick = cpu_seconds(lambda: miner(distances, labels), lambda: torch.randperm(possible), repeats=3)
    name = f"miner: random, batch {TRIPLET_BATCH:,}, permutation, CPU"
    return Row.speedup(name, seconds, "s", yardstick=yardstick, limit=5.0)


def _pictures_row() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        Image.radial_gradient("L").resize(PHOTOGRAPH).convert("RGB").save(path)
        records = ImageRecords((str(path),), np.zeros(1, np.int64), ("one",))
        seconds, yardstick = cpu_seconds(
            lambda: image_of(records, 0, within=SHOWN_PIXELS), lambda: image_of(records, 0), repeats=5
        )
    return Row.speedup("picture of 12 megapixels, whole image, CPU", seconds, "s", yardstick=yardstick, limit=2.0)


def _searches_row() -> Row:
    embeddings = torch.randn(GALLERY, DIMENSIONS, generator=torch.Generator().manual_seed(0))

    def search(query: Tensor) -> None:
        nearest_neighbours(query, embeddings, 8)

    seconds, yardstick = cpu_seconds(lambda: search(embeddings[:QUERIES]), lambda: search(embeddings), repeats=2)
    name = f"gallery: search of {QUERIES:,}, of {GALLERY:,}, CPU"
    return Row.speedup(name, seconds, "s", yardstick=yardstick, limit=5.0)


def _copies_row() -> Row:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / str(number) for number in range(FILES)]
        for number, path in enumerate(paths):
            path.touch()
            os.truncate(path, number)  # all of other sizes
        records = ImageRecords(tuple(map(str, paths)), np.zeros(FILES, np.int64), ("one",))
        seconds, yardstick = cpu_seconds(
            lambda: same_image(records), lambda: [path.stat() for path in paths], repeats=3
        )
    return Row.cost(f"copies among {FILES:,} files, their sizes, CPU", seconds, "s", yardstick=yardstick, limit=6.0)
