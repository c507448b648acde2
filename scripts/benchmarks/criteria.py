"""The criteria whose published code loops over anchors or spreads out cubes, against that, forward and backward."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import Options, Row, interleaved_seconds
from dml.losses import LOSSES, create_loss
from dml.miners import create_miner

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from losses import plain_criteria as plain  # the oracles live with the tests

BATCH, IMAGES_PER_CLASS, SIZE, CLASSES = 112, 2, 128, 100  # as published
LOOPS = {
    "npair": plain.npair,
    "angular": plain.angular,
    "lifted": plain.lifted,
    "multisimilarity": plain.multi_similarity,
}
LOOP_LIMIT, CUBE_LIMIT = 10.0, 1.5


def rows(options: Options) -> Iterator[Row]:
    """Speed-ups: at least 10 over loops, 1.5 over tensors of B³ or T²·D."""
    for spelling, loop in LOOPS.items():
        yield _against(spelling, "loop over anchors", loop, LOOP_LIMIT, options)
    yield _against("ap_loss", "cube of differences", plain.smooth_ap_cube, CUBE_LIMIT, options)
    yield _quadruplet_row(options)


def _batch(options: Options) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    embeddings = F.normalize(torch.randn(BATCH, SIZE, generator=generator), dim=1)
    labels = torch.arange(BATCH // IMAGES_PER_CLASS).repeat_interleave(IMAGES_PER_CLASS)
    return embeddings.to(options.device).requires_grad_(), labels.to(options.device)


def _against(spelling: str, what: str, oracle: Callable[..., Tensor], limit: float, options: Options) -> Row:
    embeddings, labels = _batch(options)
    ours = create_loss(spelling, num_classes=CLASSES, embedding_size=SIZE)
    arguments, miners = (embeddings, labels), LOSSES[spelling].miners
    if miners:
        distances = torch.cdist(embeddings, embeddings).detach()
        arguments += (create_miner(miners[0], embedding_size=SIZE)(distances, labels),)
    theirs = arguments if miners else (*arguments, None)
    return _speedup(
        f"{spelling}, {what}",
        lambda: ours(*arguments).backward(),
        lambda: oracle(ours, *theirs).backward(),
        limit,
        options,
    )


def _quadruplet_row(options: Options) -> Row:
    embeddings, labels = _batch(options)
    ours = create_loss("quadruplet", num_classes=CLASSES, embedding_size=SIZE)
    triplets = create_miner("distance", embedding_size=SIZE)(torch.cdist(embeddings, embeddings).detach(), labels)
    fourth = torch.arange(BATCH, device=options.device).roll(1)
    return _speedup(
        "quadruplet, broadcast differences",
        lambda: ours.with_fourth(embeddings, triplets, fourth, torch.ones_like(fourth, dtype=torch.bool)).backward(),
        lambda: plain.quadruplet_broadcast(ours, embeddings, fourth, triplets).backward(),
        CUBE_LIMIT,
        options,
    )


def _speedup(name: str, ours: Callable, theirs: Callable, limit: float, options: Options) -> Row:
    seconds, yardstick = interleaved_seconds(ours, theirs, repeats=15, device=options.device)
    return Row.speedup(f"criterion: {name}", 1e3 * seconds, "ms", yardstick=1e3 * yardstick, limit=limit)
