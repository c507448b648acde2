"""Which network an index was made with, told by its weights and not by the file that they came in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from dml.api.embedder import Embedder
from dml.errors import UserError


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


def checked(embedder: Embedder, about: Mapping[str, Any], folder: Path) -> Embedder:
    """``embedder``, if it is the network that the index in ``folder`` was made with.

    Args:
        about: ``identity_of`` that network.

    Raises:
        UserError: it is another one.
    """
    identity = identity_of(embedder)
    for key, what in (("digest", "weights"), ("preprocessing", "preprocessing"), ("distance", "distance")):
        if identity[key] != about[key]:
            place = "the network" if embedder.source is None else str(embedder.source)
            raise UserError(
                f"{folder} was made with another checkpoint ({about['network']}) than {place}, whose {what} differ:"
                " embeddings of two networks cannot be compared. Name its own by --ckpt, or make a new index"
            )
    return embedder


def digest_of_weights(model: nn.Module) -> str:
    """SHA-256 of every parameter and buffer, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
