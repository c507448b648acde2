"""What lines and disks make of a file."""

from __future__ import annotations

import random
from collections.abc import Iterator


def damaged(content: bytes, times: int) -> Iterator[bytes]:
    """``content`` cut off, or with some bytes changed, at random but the same at every call."""
    rng = random.Random(0)
    for _ in range(times):
        changed = bytearray(content[: rng.randrange(1, len(content))] if rng.random() < 0.4 else content)
        for _ in range(rng.choice([1, 8, 64])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        yield bytes(changed)
