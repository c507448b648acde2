"""Photographs that are in a collection more than once: the same file, the same picture saved anew, or all but so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from dml.data.near_duplicates import near_pairs
from dml.neighbours import nearest_neighbours
from dml.search.items import Photograph

FILE, PICTURE, NETWORK = "the same file", "the same picture", "alike to the network"
"""How sure it is, surest first."""
_NEAREST = 10  # photographs that each one is compared with by the network
_KINDS = (FILE, PICTURE, NETWORK)


@dataclass(frozen=True)
class Group:
    """Photographs that are hardly different ones.

    Attributes:
        photographs: two or more.
        kind: the least sure of the ways in which they hang together.
        similarity: the least cosine similarity of those pairs by which they do.
    """

    photographs: tuple[Photograph, ...]
    kind: str
    similarity: float

    @property
    def labels(self) -> tuple[str, ...]:
        """What they are said to show; several names are a mistake of somebody's."""
        return tuple(dict.fromkeys(one.label for one in self.photographs if one.label is not None))


def find_groups(
    photographs: Sequence[Photograph],
    digests: Sequence[bytes],
    fingerprints: np.ndarray,
    vectors: Tensor,
    *,
    similarity: float,
) -> list[Group]:
    """Groups of photographs of one picture; those under several names first, then the surest.

    O(N) memory; time grows as N² with the embeddings.

    Args:
        digests: of each of the N files.
        fingerprints: (N,), see ``dml.data.near_duplicates``.
        vectors: (N, D) embeddings.
        similarity: least cosine similarity of two that the network finds alike.
    """
    pairs, kinds = _pairs(digests, fingerprints, vectors, similarity)
    if not len(pairs):
        return []
    left, right = pairs.T
    number = len(photographs)
    graph = coo_matrix((np.ones(len(pairs)), (left, right)), shape=(number, number))
    _, group_of = connected_components(graph, directed=False)
    unit = torch.nn.functional.normalize(vectors.double(), dim=1)
    values = (unit[left] * unit[right]).sum(1).numpy()
    found = []
    for group in np.unique(group_of[left]):
        of_group = group_of[left] == group
        members = tuple(photographs[place] for place in np.flatnonzero(group_of == group))
        found.append(Group(members, _KINDS[kinds[of_group].max()], float(values[of_group].min())))
    return sorted(found, key=lambda group: (len(group.labels) < 2, _KINDS.index(group.kind), -group.similarity))


def _pairs(
    digests: Sequence[bytes], fingerprints: np.ndarray, vectors: Tensor, similarity: float
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 2) pairs, each once, and (P,) the surest kind of each, as a number of ``_KINDS``."""
    first: dict[bytes, int] = {}
    same = [(first.setdefault(digest, place), place) for place, digest in enumerate(digests)]
    parts = [np.array([pair for pair in same if pair[0] != pair[1]], dtype=np.int64).reshape(-1, 2)]
    parts.append(near_pairs(fingerprints).pairs)
    number = len(vectors)
    if number > 1:
        own = torch.arange(number)
        rows, values = nearest_neighbours(vectors, vectors, min(_NEAREST, number - 1), exclude=own)
        near = torch.stack([own[:, None].expand_as(rows), rows], dim=2)[values >= similarity]
        parts.append(near.sort(dim=1).values.numpy())
    kinds = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    pairs, where = np.unique(np.concatenate(parts), axis=0, return_index=True)  # the first is the surest
    return pairs, kinds[where]
