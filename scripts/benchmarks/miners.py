"""The distance miner against the published loop over anchors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.measure import Options, Row, interleaved_seconds
from dml.miners import create_miner

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from miners.plain_miners import distance_miner_loop  # the oracle lives with the tests

BATCH, IMAGES_PER_CLASS, SIZE = 112, 2, 128  # as published
CUTOFF, LIMIT = 0.5, 20.0


def rows(options: Options) -> Iterator[Row]:
    """Speed-up: at least 20."""
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(BATCH, SIZE, generator=generator), dim=1)
    distances = torch.cdist(embeddings, embeddings).to(options.device)
    labels = torch.arange(BATCH // IMAGES_PER_CLASS, device=options.device).repeat_interleave(IMAGES_PER_CLASS)
    miner = create_miner("distance", embedding_size=SIZE)
    seconds, yardstick = interleaved_seconds(
        lambda: miner(distances, labels),
        lambda: distance_miner_loop(distances, labels, SIZE, CUTOFF),
        repeats=101,
        device=options.device,
    )
    name = f"miner: distance, batch {BATCH}, loop"
    yield Row.speedup(name, 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=LIMIT)
