"""What it saves on a CPU that freed memory stays with the process (``dml.memory``)."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import torch

from benchmarks.measure import Options, Row, cpu_seconds
from dml.memory import keep_freed_memory
from dml.models import create_model

BATCH, SIDE, REPEATS = 60, 96, 6
LIMIT = 1.1


def rows(options: Options) -> Iterator[Row]:
    """A training step of MobileNetV2 in a process of each kind; nothing where the C library cannot be told."""
    if options.device.type != "cpu":
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        left = pool.submit(_step_seconds, options.threads, False).result()
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        kept = pool.submit(_step_seconds, options.threads, True).result()
    if kept is not None and left is not None:
        name = f"memory: step of mobilenet_v2, {BATCH} × {SIDE} × {SIDE}, kept against given back, CPU"
        yield Row.speedup(name, 1e3 * kept, "ms", yardstick=1e3 * left, limit=LIMIT)


def _step_seconds(threads: int, keep: bool) -> float | None:
    if keep and not keep_freed_memory():
        return None
    torch.set_num_threads(threads)
    network = create_model("mobilenet_v2", embedding_size=128, pretrained=False, image_size=SIDE).train()
    images = torch.randn(BATCH, 3, SIDE, SIDE)

    def step() -> None:
        network.zero_grad()
        network(images).embedding.square().mean().backward()

    step()
    return cpu_seconds(step, repeats=REPEATS)[0]
