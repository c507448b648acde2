"""How the cost of each stage grows: exponents fitted to a few sizes, in processor seconds (docs/scale.md).

A stage that is said to cost ``size^e`` must not grow faster than that. Small sizes have fixed costs, so that what is
fitted lies at or below the exponent of the largest ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Options, Row, cpu_seconds, peak_memory_gb
from dml.data.samplers import ClassBalancedBatchSampler
from dml.evaluation.clustering import kmeans
from dml.evaluation.evaluator import evaluate_embeddings
from dml.losses import create_loss

REPEATS = 3
SLACK = 0.25  # of an exponent, for what noise and caches add
SIZE, CLASS_SIZE = 512, 8
LARGEST = 12_000
HELD_BATCH, HELD_CLASSES = 256, 200_000


@dataclass(frozen=True)
class Growth:
    """A stage, what grows, and how its cost should.

    Attributes:
        stage: what is done.
        axis: N images, C classes, D numbers of an embedding, B images of a batch, or processes.
        sizes: ascending.
        exponent: that it should have at most.
        work: size → what is timed.
    """

    stage: str
    axis: str
    sizes: Sequence[int]
    exponent: float
    work: Callable[[int], Callable[[], Any]]


GROWTHS: tuple[Growth, ...] = (
    Growth("evaluation", "N", (3_000, 6_000, LARGEST), 2, lambda n: _evaluation(n, SIZE)),
    Growth("evaluation", "D", (128, 256, 512), 1, lambda d: _evaluation(6_000, d)),
    Growth("evaluation", "processes", (1, 2, 4), -1, lambda w: _evaluation(6_000, SIZE, processes=w)),
    Growth("clusters (NMI)", "N and C", (2_000, 4_000, 8_000), 2, lambda n: _clusters(n)),
    Growth("plan of an epoch", "N and C", (50_000, 100_000, 200_000), 2, lambda n: _plan(n)),
    Growth("Proxy-Anchor", "C", (20_000, 40_000, 80_000), 1, lambda c: _step("proxy_anchor", 128, c)),
    Growth("Proxy-Anchor", "B", (64, 128, 256), 1, lambda b: _step("proxy_anchor", b, 20_000)),
    Growth("Proxy-Anchor", "D", (128, 256, 512), 1, lambda d: _step("proxy_anchor", 128, 20_000, d)),
    Growth("multi-similarity", "B", (256, 512, 1_024), 2, lambda b: _step("MS", b, b // 4)),
    Growth("contrastive", "B", (256, 512, 1_024), 2, lambda b: _step("Contrastive", b, b // 4)),
    Growth("semi-hard triplets", "B", (256, 512, 1_024), 2, lambda b: _step("Triplet", b, b // 4)),
    Growth("N pairs", "B", (512, 1_024, 2_048), 2, lambda b: _step("NPair", b, b // 4)),
    Growth("memory of 55,000 rows", "B", (32, 64, 128), 1, lambda b: _memory_step(b)),
)


def rows(options: Options) -> Iterator[Row]:
    """Exponents, each against the one that it should have; an evaluation against its product; what losses hold."""
    for growth in GROWTHS:
        seconds = cpu_seconds(*[growth.work(size) for size in growth.sizes], repeats=REPEATS)
        found = exponent_of(growth.sizes, seconds)
        is_ok = found <= growth.exponent + SLACK
        name = f"scale: {growth.stage} against {growth.axis}"
        yield Row(name, found, "exponent", growth.exponent, None, growth.exponent + SLACK, is_ok)
        yield Row(f"{name}, {growth.sizes[-1]:,}", 1e3 * seconds[-1], "ms of CPU")
    yield _product_row()
    for loss in ("proxy_anchor", "softtriple"):
        held = peak_memory_gb(partial(_prepared, loss), _call, options) * 1e9 / (4 * HELD_BATCH * HELD_CLASSES)
        yield Row(f"scale: {loss}, held beside proxies", held, "B × C floats")


def _product_row() -> Row:
    """An evaluation against nothing but its product."""
    embeddings = _embeddings(LARGEST, SIZE)[0]
    blocks = embeddings.split(1_000)
    seconds, product = cpu_seconds(
        _evaluation(LARGEST, SIZE), lambda: [block @ embeddings.T for block in blocks], repeats=REPEATS
    )
    return Row.cost(f"scale: evaluation, {LARGEST:,}", 1e3 * seconds, "ms of CPU", yardstick=1e3 * product)


def exponent_of(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of the line through (log size, log seconds) with the least squared error."""
    return float(np.polyfit([math.log(size) for size in sizes], [math.log(second) for second in seconds], 1)[0])


def _embeddings(number: int, size: int) -> tuple[Tensor, Tensor]:
    """Unit vectors about the middles of classes of ``CLASS_SIZE``."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(number) // CLASS_SIZE
    middles = torch.randn(int(labels[-1]) + 1, size, generator=generator)
    return F.normalize(middles[labels] + torch.randn(number, size, generator=generator)), labels


def _evaluation(number: int, size: int, processes: int = 1) -> Callable[[], Any]:
    """All retrieval metrics; of several processes the share of one, which searches the whole gallery."""
    rows, labels = _embeddings(number, size)
    if processes == 1:
        return lambda: evaluate_embeddings(rows, labels, recall_ks=(1, 10, 100))
    ids = (torch.arange(0, number, processes), torch.arange(number))
    share = (rows[::processes], labels[::processes].contiguous(), rows, labels)
    return lambda: evaluate_embeddings(*share, recall_ks=(1, 10, 100), image_ids=ids)


def _plan(number: int) -> Callable[[], Any]:
    """Batches of 120 with four images of a class."""
    sampler = ClassBalancedBatchSampler(np.arange(number) // CLASS_SIZE, batch_size=120, images_per_class=4)
    return lambda: sampler.plan(0)


def _clusters(number: int) -> Callable[[], Any]:
    """As many clusters as classes, which grow with the images."""
    rows, labels = _embeddings(number, 64)
    return lambda: kmeans(rows, int(labels[-1]) + 1, seed=0)


def _step(loss: str, batch: int, classes: int, size: int = SIZE) -> Callable[[], Any]:
    """Forward and backward of a batch with four images of a class."""
    embeddings, _ = _embeddings(batch, size)
    labels = (torch.arange(batch) // 4) % classes
    criterion = create_loss(loss, num_classes=classes, embedding_size=size)
    return _backward(criterion, embeddings.requires_grad_(), labels)


def _prepared(loss: str, device: torch.device) -> Callable[[], Any]:
    """A step whose proxies have their gradients already, so that what it takes is beside them."""
    step = _step(loss, HELD_BATCH, HELD_CLASSES, 8)
    _step(loss, HELD_BATCH, 8, 8)()
    return step


def _call(function: Callable[[], Any]) -> None:
    function()


def _memory_step(batch: int) -> Callable[[], Any]:
    """A step of multi-similarity against a full memory."""
    criterion = create_loss("multi_similarity_memory", num_classes=1_000, embedding_size=SIZE)
    criterion.memory.features.copy_(_embeddings(len(criterion.memory.labels), SIZE)[0])
    criterion.memory.labels.random_(1_000)
    criterion.memory.written.fill_(len(criterion.memory.labels))
    criterion.start_epoch(100)
    criterion.eval()  # nothing is written
    embeddings, labels = _embeddings(batch, SIZE)
    return _backward(criterion, embeddings.requires_grad_(), labels)


def _backward(criterion: torch.nn.Module, embeddings: Tensor, labels: Tensor) -> Callable[[], Any]:
    return lambda: criterion(embeddings, labels).backward()
