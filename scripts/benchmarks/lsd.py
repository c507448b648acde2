"""The term of listwise self-distillation, forward and backward, against the published loop over anchors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.measure import Options, Row, interleaved_seconds
from dml.losses.ranking.listwise import ListwiseDistillationLoss

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from losses.plain_lsd import plain_divergence  # the oracle lives with the tests

BATCH, SIZE, CLASSES = 112, 128, 56


def rows(options: Options) -> Iterator[Row]:
    """At the published batch: at least 20 times the loop."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (F.normalize(torch.randn(BATCH, SIZE, generator=generator)) for _ in range(2))
    student, teacher = student.to(options.device).requires_grad_(), teacher.to(options.device)
    labels = (torch.arange(BATCH) % CLASSES).to(options.device)
    loss = ListwiseDistillationLoss()
    seconds, yardstick = interleaved_seconds(
        lambda: loss(student, teacher, labels).backward(),
        lambda: plain_divergence(student, teacher, labels, 1.0, 1.0).backward(),
        repeats=15,
        device=options.device,
    )
    yield Row.speedup("lsd: batch 112, loop", 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=20.0)
