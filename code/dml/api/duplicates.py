"""Which photographs of a collection are there more than once."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image

from dml.api.embedder import Embedder
from dml.api.photographs import embedded
from dml.data.near_duplicates import FINGERPRINT, fingerprint
from dml.search.duplicates import Group, find_groups
from dml.search.items import Photograph


def find_duplicates(
    embedder: Embedder,
    photographs: Sequence[Photograph],
    *,
    similarity: float,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Group], list[tuple[str, str]]]:
    """Groups of photographs of one picture, see ``find_groups``; and path and reason of those that cannot be read.

    Args:
        similarity: least cosine similarity of two that the network finds alike.
        progress: is told how many more are done.
    """
    there, digests, prints, vectors, faults = [], [], [], [], []
    for some in embedded(embedder, photographs):
        there += [Photograph(item.path, item.label) for item in some.items]
        digests += [item.digest for item in some.items]
        prints += [fingerprint(Image.open(io.BytesIO(item.thumbnail))) for item in some.items]
        vectors.append(some.vectors)
        faults += some.faults
        if progress is not None:
            progress(len(some.items) + len(some.faults))
    if not there:
        return [], faults
    groups = find_groups(there, digests, np.array(prints, dtype=FINGERPRINT), torch.cat(vectors), similarity=similarity)
    return groups, faults
