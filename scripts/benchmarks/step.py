"""A training step of resnet50: fed by the loader, and as the trainer takes it, against a fixed batch of tensors."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from benchmarks import bare_step, pieces
from benchmarks.measure import Options, Row, interleaved_seconds
from benchmarks.pipeline import CLASSES, Loading, TrainingStep, photographs
from dml.structures import Batch

REPEATS = 8


def rows(options: Options) -> Iterator[Row]:
    """On a CPU small batches of small crops, on a GPU those of the publications."""
    on_gpu = options.device.type == "cuda"
    batch_size, side = (120, 224) if on_gpu else (8, 128)
    step = TrainingStep("resnet50", options)
    images = torch.randn(batch_size, 3, side, side, device=options.device)
    labels = torch.arange(batch_size, device=options.device) % CLASSES
    batch = Batch(images, labels, torch.arange(batch_size))
    with photographs(batch_size * (REPEATS + 2)) as records:
        workers = 8 if on_gpu else options.threads
        source = Loading(records, crop_size=side, batch_size=batch_size, workers=workers).epoch(0)
        loaded, fixed, plain = interleaved_seconds(
            lambda: step.trainers(next(source).to(options.device)),
            lambda: step.trainers(batch),
            lambda: step.plain(images, labels),
            repeats=REPEATS,
            device=options.device,
        )
    name = f"step: resnet50, {batch_size} × {side} × {side}"
    yield Row.cost(f"{name}, from the loader", 1e3 * loaded, "ms", yardstick=1e3 * fixed)
    yield Row.cost(f"{name}, trainer's", 1e3 * fixed, "ms", yardstick=1e3 * plain)
    yield from bare_step.rows(options)
    yield from pieces.rows(options)
