"""Losses, forward and backward, against the plain version that tests use as oracle or pytorch-metric-learning's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Options, Row, cpu_seconds, interleaved_seconds, peak_memory_gb
from dml.losses import create_loss

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from losses import plain, plain_library  # the oracles live with the tests

BATCH, SIZE, CLASSES = 180, 512, 100
SOP_CLASSES = 11_318
LARGE_BATCH = 512
LOOP_LIMIT, VECTOR_LIMIT, LIBRARY_LIMIT, MEMORY_LIMIT = 10.0, 0.9, 1.0, 0.1


def rows(options: Options) -> Iterator[Row]:
    """Speed-ups: at least 10 where the published version loops, 0.9 elsewhere."""
    proxy_anchor = create_loss("Proxy_Anchor", num_classes=CLASSES, embedding_size=SIZE)
    anchor = (proxy_anchor.margin, proxy_anchor.alpha)
    binarized = plain.proxy_anchor_binarized
    yield _row("Proxy_Anchor, binarised on the CPU", "Proxy_Anchor", binarized, anchor, VECTOR_LIMIT, options)
    name = "Proxy_Anchor, 11,318 classes, binarised on the CPU"
    yield _row(name, "Proxy_Anchor", binarized, anchor, VECTOR_LIMIT, options, classes=SOP_CLASSES)
    yield _row("Proxy_NCA, loop over samples", "Proxy_NCA", plain.proxy_nca_loop, (32.0, True), LOOP_LIMIT, options)
    yield _row("ProxyNCA, loop over samples", "ProxyNCA", plain.proxy_nca_loop, (12.0, False), LOOP_LIMIT, options)
    for name in ("MS", "Contrastive", "Triplet", "NPair"):
        yield _library_row(name, options)
    yield _memory_row(options)
    for classes in (CLASSES, SOP_CLASSES):
        yield _softtriple_row(classes, options)


def _batch(options: Options, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(BATCH, SIZE, generator=generator), dim=1)
    labels = torch.randint(classes, (BATCH // 5,), generator=generator).repeat_interleave(5)
    return embeddings.to(options.device).requires_grad_(), labels.to(options.device)


def _row(
    name: str, loss: str, oracle: Callable, arguments: tuple, limit: float, options: Options, classes: int = CLASSES
) -> Row:
    embeddings, labels = _batch(options, classes)
    ours = create_loss(loss, num_classes=classes, embedding_size=SIZE).to(options.device)
    return _compare(
        name,
        lambda: ours(embeddings, labels).backward(),
        lambda: oracle(embeddings, labels, ours.proxies, *arguments).backward(),
        limit,
        options,
    )


def _library_row(loss: str, options: Options) -> Row:
    """The yardstick is pytorch-metric-learning with its own miner, called directly, as published."""
    batch = _large_batch(LARGE_BATCH // 4, options.device)
    steps = (_step(whose, loss, *batch) for whose in ("ours", "library"))
    return _in_cpu_seconds(f"{loss}, library, B = {LARGE_BATCH}", *steps)


def _memory_row(options: Options) -> Row:
    """Of triplets there are most where classes are few: 25 million of four classes."""
    ours, library = (peak_memory_gb(partial(_prepared, whose), _call, options) for whose in ("ours", "library"))
    name = f"loss: Triplet, memory, B = {LARGE_BATCH}, 4 classes"
    return Row.cost(name, ours, "GB", yardstick=library, limit=MEMORY_LIMIT)


def _prepared(whose: str, device: torch.device) -> Callable[[], None]:
    small = _step(whose, "Triplet", *(part[:16] for part in _large_batch(4, device)))
    small()  # what is set up once
    return _step(whose, "Triplet", *_large_batch(4, device))


def _call(function: Callable[[], None]) -> None:
    function()


def _step(whose: str, loss: str, embeddings: Tensor, labels: Tensor) -> Callable[[], None]:
    """Forward and backward."""
    embeddings = embeddings.detach().requires_grad_()
    if whose == "ours":
        criterion = create_loss(loss, num_classes=LARGE_BATCH, embedding_size=SIZE).to(embeddings.device)
        return lambda: criterion(embeddings, labels).backward()
    criterion, miner = plain_library.library(loss)
    return lambda: criterion(embeddings, labels, miner and miner(embeddings, labels)).backward()


def _large_batch(classes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """``LARGE_BATCH`` unit vectors about the middles of their classes, as in training."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(LARGE_BATCH) % classes
    middles = torch.randn(classes, SIZE, generator=generator)
    embeddings = F.normalize(middles[labels] + torch.randn(LARGE_BATCH, SIZE, generator=generator), dim=1)
    return embeddings.to(device), labels.to(device)


def _softtriple_row(classes: int, options: Options) -> Row:
    """Two centroids of each class; the library's has no regulariser, ours has it on."""
    embeddings, labels = _batch(options, classes)
    ours = create_loss("softtriple", num_classes=classes, embedding_size=SIZE).to(options.device)
    theirs = plain_library.softtriple(ours).to(options.device)
    return _in_cpu_seconds(
        f"softtriple, {classes:,} classes, library",
        lambda: ours(embeddings, labels).backward(),
        lambda: theirs(embeddings, labels).backward(),
    )


def _in_cpu_seconds(name: str, ours: Callable, theirs: Callable) -> Row:
    ours(), theirs()  # what is set up once
    seconds, yardstick = cpu_seconds(ours, theirs, repeats=15)
    return Row.speedup(f"loss: {name}", 1e3 * seconds, "ms of CPU", yardstick=1e3 * yardstick, limit=LIBRARY_LIMIT)


def _compare(name: str, ours: Callable, theirs: Callable, limit: float, options: Options) -> Row:
    seconds, yardstick = interleaved_seconds(ours, theirs, repeats=31, device=options.device)
    return Row.speedup(f"loss: {name}", 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=limit)
