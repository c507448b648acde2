"""Which network an index was made with, told by its weights and not by the file that they came in."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from torch import nn

from dml.api.embedder import Embedder


def identity_of(embedder: Embedder) -> dict[str, Any]:
    """What must be equal for embeddings to be comparable, as plain values: ``digest`` of the weights, ``preprocessing``
    and ``distance``; and beside it, for people, ``network`` and ``checkpoint``."""
    source = embedder.source
    return {
        "digest": digest_of_weights(embedder.model),
        "preprocessing": asdict(embedder.preprocessing),
        "distance": embedder.distance,
        "network": embedder.description,
        "checkpoint": None if source is None else str(source.absolute()),
    }


def digest_of_weights(model: nn.Module) -> str:
    """SHA-256 of every parameter and buffer, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
