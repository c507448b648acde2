"""Images that look alike: the same picture saved anew or made smaller.

A fingerprint says of 128 places whether an image becomes brighter there, from left to right or from top to bottom, on a
grid of 9 × 9 (dHash, N. Krawetz, 2013, in both directions), and which colours it has on one of 3 × 3: products may
differ in colour alone. Copies of photographs, saved anew or half as large, mostly differ in 0 to 5 of the 128; others
in 35 and more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

_WORDS, _BITS = 8, 16
NEAR = _WORDS - 1
"""Bits in which fingerprints of images that look alike may differ. So they agree in one of eight words at least."""
_RISE = 2  # of 255, that counts as becoming brighter: less is noise
_COLOUR = 16  # of 255, by which the colours of images that look alike may differ, in any field
FINGERPRINT = np.dtype([("rises", np.uint16, _WORDS), ("colours", np.uint8, 27)])
# Neighbouring places go into different words, so that an even corner leaves no word without information.
_ORDER = np.arange(_WORDS * _BITS) * 37 % (_WORDS * _BITS)
_ONES = np.unpackbits(np.arange(2**_BITS, dtype=np.uint16).view(np.uint8)).reshape(-1, _BITS).sum(1).astype(np.uint8)


class NearPairs(NamedTuple):
    """Pairs of images that look alike.

    Attributes:
        pairs: (P, 2) int64, the smaller index first, in ascending order.
        complete: whether these are all.
    """

    pairs: np.ndarray
    complete: bool


def fingerprint(image: Image.Image) -> np.ndarray:
    """() of the type ``FINGERPRINT``, of an RGB image of any size."""
    small = image.resize((9, 9), Image.Resampling.LANCZOS, reducing_gap=8.0)
    grey = np.asarray(small.convert("L"), dtype=np.int16)
    rises = np.stack([grey[:8, 1:] - grey[:8, :8], grey[1:, :8] - grey[:8, :8]]) > _RISE
    colours = np.asarray(small).reshape(3, 3, 3, 3, 3).mean((1, 3))
    return np.array((np.packbits(rises.ravel()[_ORDER]).view(np.uint16), colours.ravel()), dtype=FINGERPRINT)


def near_pairs(prints: np.ndarray, *, most: int = 10_000, budget: int = 300_000_000) -> NearPairs:
    """Pairs of the (N,) fingerprints that differ in at most ``NEAR`` of 128 rises, and little in colours.

    Candidates are those that agree in a word: sorted by it, each is compared with the one after it, with the second
    after it, and so on while they agree. O(N) memory; time grows with the number of candidates.

    Args:
        most: pairs after which the search ends.
        budget: candidates after which it ends; as many take about a minute.
    """
    found: list[np.ndarray] = [np.empty((0, 2), dtype=np.int64)]
    number = seen = 0
    rises = prints["rises"]
    for word in range(_WORDS):
        order = np.argsort(rises[:, word], kind="stable")
        keys = rises[order, word]
        left = np.arange(len(order))
        for shift in range(1, len(order)):
            left = left[left < len(order) - shift]
            left = left[keys[left] == keys[left + shift]]
            if not len(left):
                break
            one, other = order[left], order[left + shift]
            a, b = rises[one], rises[other]
            near = (_ONES[a ^ b].sum(1) <= NEAR) & ~(a[:, :word] == b[:, :word]).any(1)  # else found by that word
            pairs = np.sort(np.stack([one[near], other[near]], 1), axis=1)
            found.append(pairs[_alike_in_colour(prints["colours"], pairs)])
            number, seen = number + len(found[-1]), seen + len(left)
            if number > most or seen > budget:
                return NearPairs(_in_order(found)[:most], complete=False)
    return NearPairs(_in_order(found), complete=True)


def _alike_in_colour(colours: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(P,) bool."""
    a, b = colours[pairs].astype(np.int16).swapaxes(0, 1)
    return np.abs(a - b).max(1) <= _COLOUR


def _in_order(pairs: list[np.ndarray]) -> np.ndarray:
    joined = np.concatenate(pairs)
    return joined[np.lexsort((joined[:, 1], joined[:, 0]))]
