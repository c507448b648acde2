"""Every image's nearest neighbours in a set of 60,000, as STML rebuilds them each epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.evaluator import CHUNK_SIZE, clustered
from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.neighbours import nearest_neighbours

NUM_IMAGES, NUM_CLASSES, DIMENSIONS, NUM_NEIGHBOURS = 60_000, 11_318, 1024, 5
NUM_QUERIES = 4_000  # enough to fill every buffer
PRODUCT_LIMIT, MEMORY_LIMIT_GB = 1.5, 1.2
REPEATS = 3


def rows(options: Options) -> Iterator[Row]:
    """Time against the bare float32 product; memory beyond the embeddings, whatever the number of queries."""
    embeddings = images(options.device)
    buffer = torch.empty(CHUNK_SIZE, NUM_IMAGES, device=options.device)

    def multiply() -> None:
        for chunk in embeddings.split(CHUNK_SIZE):
            torch.mm(chunk, embeddings.T, out=buffer[: len(chunk)])

    seconds, yardstick = interleaved_seconds(
        lambda: search(embeddings, embeddings),
        multiply,
        repeats=REPEATS,
        device=options.device,
        warm_up=options.device.type == "cuda",
    )
    name = f"neighbours: {NUM_NEIGHBOURS} of {NUM_IMAGES:,} × {DIMENSIONS}"
    yield Row.cost(name, seconds, "s", yardstick=yardstick, limit=PRODUCT_LIMIT)
    memory = peak_memory_gb(images, _search_some, options)
    yield Row.cost("neighbours: memory beyond embeddings", memory, "GB", limit=MEMORY_LIMIT_GB)


def images(device: torch.device) -> Tensor:
    """(N, D) embeddings in classes."""
    return clustered(NUM_IMAGES, NUM_CLASSES, device, dimensions=DIMENSIONS)[0]


def search(query: Tensor, gallery: Tensor) -> Tensor:
    """Indices (Q, K), each query's own first."""
    return nearest_neighbours(query, gallery, NUM_NEIGHBOURS, distance="euclidean")[0]


def _search_some(embeddings: Tensor) -> None:
    search(embeddings[:NUM_QUERIES], embeddings)
