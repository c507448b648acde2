"""Training steps on a CPU against the bare network's loop, laid out and computing as is fastest there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import nn
from torchvision import models

from benchmarks.measure import Options, Row, cpu_and_wall_seconds
from benchmarks.pipeline import CLASSES, SIZE, TrainingStep
from dml.models import create_model
from dml.structures import Batch
from dml.training.adamp import AdamP

BATCH, REPEATS = 16, 12
LIMIT = 0.94
"""What is to be left of the bare loop's images per second and core: 105 of 112 (MobileNetV2), 48 of 52 (resnet18)."""


def rows(options: Options) -> Iterator[Row]:
    """Nothing on a GPU, where processor time says little."""
    if options.device.type != "cpu":
        return
    yield from _step("mobilenet_v2", 96, "32-true", options)
    yield from _step("resnet18", 128, "bf16-mixed", options)
    yield from _adamp()


def _step(name: str, side: int, precision: Literal["32-true", "bf16-mixed"], options: Options) -> Iterator[Row]:
    """The trainer's step, and its yardstick: torchvision's network in channels_last, forward, backward, AdamW."""
    step = TrainingStep(name, options, precision=precision)
    images, labels = torch.randn(BATCH, 3, side, side), torch.arange(BATCH) % CLASSES
    batch = Batch(images, labels, torch.arange(BATCH))
    bare = _bare_loop(name, images, mixed=precision != "32-true")
    ours, yardstick = cpu_and_wall_seconds(lambda: step.trainers(batch), bare, repeats=REPEATS)
    title = f"step: {name}, {BATCH} × {side} × {side}, {precision}"
    for kind, value, other, limit in zip(("core", "second"), ours, yardstick, (LIMIT, None), strict=True):
        rate, bare_rate = BATCH / value, BATCH / other
        unit = "img/s/core" if kind == "core" else "img/s"
        kept = limit is None or rate >= limit * bare_rate
        yield Row(f"{title}, by {kind}", rate, unit, bare_rate, rate / bare_rate, limit, kept)


def _bare_loop(name: str, images: torch.Tensor, *, mixed: bool) -> Callable[[], None]:
    network = getattr(models, name)(weights=None)
    width = models.resnet18().fc.in_features if name == "resnet18" else network.last_channel
    head = "fc" if name == "resnet18" else "classifier"
    setattr(network, head, nn.Linear(width, SIZE))
    network, images = network.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16) if mixed else contextlib.nullcontext():
            output = network(images)
        output.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def _adamp() -> Iterator[Row]:
    """A step of the optimiser alone, against the package's; nothing where that is not installed."""
    try:
        import adamp
    except ImportError:
        return
    for name in ("resnet18", "bn_inception"):
        steps = []
        for kind in (AdamP, adamp.AdamP):
            network = create_model(name, embedding_size=SIZE, pretrained=False)
            for weight in network.parameters():
                weight.grad = torch.randn_like(weight)
            steps.append(kind(network.parameters(), lr=1e-4, weight_decay=1e-2, nesterov=True).step)
        (cpu, wall), (package, package_wall) = cpu_and_wall_seconds(*steps, repeats=2 * REPEATS)
        yield Row.cost(f"step: AdamP of {name}, processor time", 1e3 * cpu, "ms", yardstick=1e3 * package, limit=1.1)
        yield Row.cost(f"step: AdamP of {name}, time", 1e3 * wall, "ms", yardstick=1e3 * package_wall)
