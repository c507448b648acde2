"""Proxy-ISA, forward and backward, against the loop over classes; its memory against copying it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.losses.memory import PUBLISHED_SIZE, ClassMeanMemory
from dml.losses.proxies.proxy_isa import ProxyISALoss

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from losses.plain_isa import ProxyISALoop  # the oracle lives with the tests

BATCH, SIZE = 128, 512
CUB_CLASSES, SOP_CLASSES = 100, 11_318
MEMORY_LIMIT_GB = 0.01  # the bank itself has 0.113


def rows(options: Options) -> Iterator[Row]:
    """Speed-ups of the loss: at least 10 for 100 classes, 20 for 11,318; of the memory over a copy of it."""
    yield _loss_row(CUB_CLASSES, 10.0, 15, options, with_memory=True)
    yield _loss_row(CUB_CLASSES, 10.0, 31, options)
    yield _loss_row(SOP_CLASSES, 20.0, 3, options)
    yield _enqueue_row(options)
    peak = peak_memory_gb(_filled_memory, _enqueue_ten_batches, options)
    name = f"proxy_isa: ten batches into {PUBLISHED_SIZE:,} rows"
    yield Row.cost(name, peak, "GB", limit=MEMORY_LIMIT_GB)


def _batch(classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(BATCH, SIZE, generator=generator), dim=1)
    return embeddings.to(device).requires_grad_(), torch.randint(classes, (BATCH,), generator=generator).to(device)


def _loss_row(classes: int, limit: float, repeats: int, options: Options, *, with_memory: bool = False) -> Row:
    """The first phase, or the last with a full memory."""
    embeddings, labels = _batch(classes, options.device)
    ours = ProxyISALoss(num_classes=classes, embedding_size=SIZE, memory_size=BATCH).to(options.device)
    loop = ProxyISALoop(ours.proxies, memory_size=PUBLISHED_SIZE)
    if with_memory:
        ours.memory = _filled_memory(options.device)
        ours.start_epoch(ours.memory_from_epoch + 1)
        loop.rows, loop.row_labels = ours.memory.features.clone(), ours.memory.labels.clone()
        loop.memory_enabled = loop.filter_enabled = True
    seconds, yardstick = interleaved_seconds(
        lambda: ours(embeddings, labels).backward(),
        lambda: loop(embeddings, labels).backward(),
        repeats=repeats,
        device=options.device,
    )
    phase = "last phase" if with_memory else "first"
    name = f"proxy_isa: {classes:,} classes, {phase}, loop"
    return Row.speedup(name, 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=limit)


def _filled_memory(device: torch.device) -> ClassMeanMemory:
    memory = ClassMeanMemory(size=PUBLISHED_SIZE, embedding_size=SIZE, num_classes=CUB_CLASSES).to(device)
    generator = torch.Generator().manual_seed(0)
    for size in [BATCH] * (PUBLISHED_SIZE // BATCH) + [PUBLISHED_SIZE % BATCH]:
        features = F.normalize(torch.randn(size, SIZE, generator=generator), dim=1)
        memory.enqueue(features.to(device), torch.randint(CUB_CLASSES, (size,), generator=generator).to(device))
    return memory


def _enqueue_row(options: Options) -> Row:
    memory, (embeddings, labels) = _filled_memory(options.device), _batch(CUB_CLASSES, options.device)
    seconds, yardstick = interleaved_seconds(
        lambda: memory.enqueue(embeddings, labels),
        lambda: memory.features.clone(),
        repeats=31,
        device=options.device,
    )
    name = f"proxy_isa: {BATCH} into {PUBLISHED_SIZE:,} rows, copy"
    return Row.speedup(name, 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=5.0)


def _enqueue_ten_batches(memory: ClassMeanMemory) -> None:
    embeddings, labels = _batch(CUB_CLASSES, memory.features.device)
    for _ in range(10):
        memory.enqueue(embeddings, labels)
