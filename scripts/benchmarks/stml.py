"""The self-taught loss at 240 rows and 512-d, 1024-d heads, forward and backward, against the loop over rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.measure import Options, Row, interleaved_seconds, peak_memory_gb
from dml.losses.distances import squared_distances
from dml.losses.self_taught.stml import SelfTaughtLoss

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from losses import plain_stml as plain  # the oracle lives with the tests

ROWS, VIEWS, SIZE, BACKGROUND, NEIGHBOURS = 240, 2, 512, 1024, 10
LOOP_LIMIT, PRODUCT_LIMIT, MEMORY_LIMIT_GB = 5.0, 5.0, 0.2

Heads = tuple[Tensor, Tensor, Tensor]


def rows(options: Options) -> Iterator[Row]:
    """Speed-up over the loop, cost in multiples of the bare products, peak memory."""
    heads, images = _heads(options.device), _images(options.device)

    def ours() -> None:
        SelfTaughtLoss(num_neighbours=NEIGHBOURS)(*heads, images).total.backward()

    def loop() -> None:
        plain.stml_loop(*heads, images, k=NEIGHBOURS).backward()

    seconds, yardstick = interleaved_seconds(ours, loop, repeats=7, device=options.device)
    yield Row.speedup("STML loss, row by row", 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=LOOP_LIMIT)
    seconds, bare = interleaved_seconds(ours, lambda: _products(heads), repeats=31, device=options.device)
    yield Row.cost("STML loss, bare products", 1e3 * seconds, "ms", yardstick=1e3 * bare, limit=PRODUCT_LIMIT)
    yield Row.cost("STML loss, peak memory", peak_memory_gb(_heads, _step, options), "GB", limit=MEMORY_LIMIT_GB)


def _heads(device: torch.device) -> Heads:
    """f and g of the student with gradient, g of the teacher without."""
    generator = torch.Generator().manual_seed(0)
    heads = [torch.randn(ROWS, size, generator=generator).to(device) for size in (SIZE, BACKGROUND, BACKGROUND)]
    return heads[0].requires_grad_(), heads[1].requires_grad_(), heads[2]


def _images(device: torch.device) -> Tensor:
    return torch.arange(ROWS // VIEWS, device=device).repeat(VIEWS)


def _products(heads: Heads) -> None:
    """Squared distances of both student heads with their gradients, and of the teacher's without."""
    (squared_distances(heads[0]).sum() + squared_distances(heads[1]).sum()).backward()
    squared_distances(heads[2])


def _step(heads: Heads) -> None:
    SelfTaughtLoss(num_neighbours=NEIGHBOURS)(*heads, _images(heads[0].device)).total.backward()
