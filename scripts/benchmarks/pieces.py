"""A step in pieces (``--accumulate``) against that of the whole batch: processor time, and peak memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.measure import Options, Row, cpu_and_wall_seconds, interleaved_seconds, peak_memory_gb
from dml.methods.pieces import in_pieces
from dml.models import create_model

PIECES, REPEATS = 8, 4
TIME_LIMIT, MEMORY_LIMIT = 1.5, 0.35


def rows(options: Options) -> Iterator[Row]:
    """resnet18 by a loss of the whole batch."""
    given = prepared(options.device)
    whole, cut = partial(step, given, 1), partial(step, given, PIECES)
    if options.device.type == "cpu":
        (value, _), (yardstick, _) = cpu_and_wall_seconds(cut, whole, repeats=REPEATS)
    else:
        value, yardstick = interleaved_seconds(cut, whole, repeats=REPEATS, device=options.device)
    name = f"step: resnet18, {len(given[1])} images in {PIECES} pieces"
    yield Row.cost(f"{name}, time", 1e3 * value, "ms", yardstick=1e3 * yardstick, limit=TIME_LIMIT)
    value, yardstick = (peak_memory_gb(prepared, work, options) for work in (step_in_pieces, step_of_whole))
    yield Row.cost(f"{name}, peak memory", value, "GB", yardstick=yardstick, limit=MEMORY_LIMIT)


def prepared(device: torch.device) -> tuple[torch.nn.Module, Tensor]:
    """A network whose gradients are there, and images for it."""
    rows, side = (512, 224) if device.type == "cuda" else (128, 96)
    network = create_model("resnet18", embedding_size=128, pretrained=False).to(device)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return network, torch.randn(rows, 3, side, side, device=device)


def step(given: tuple[torch.nn.Module, Tensor], pieces: int) -> None:
    """Forward, a loss of all pairs, backward."""
    network, images = given
    embeddings = in_pieces(network, images, pieces).embedding
    (embeddings @ embeddings.T).square().mean().backward()


def step_of_whole(given: tuple[torch.nn.Module, Tensor]) -> None:
    """See ``step``."""
    step(given, 1)


def step_in_pieces(given: tuple[torch.nn.Module, Tensor]) -> None:
    """See ``step``."""
    step(given, PIECES)
