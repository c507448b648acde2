"""Images that look alike are found, and no others."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from dml.data.near_duplicates import FINGERPRINT, NEAR, fingerprint, near_pairs


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    """Parts of two photographs that ship inside scikit-learn, none like another."""
    images = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    return [image.crop((x, 200, x + 300, 420)) for image in images for x in (0, 310)]


def saved(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def differing(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.unpackbits((a ^ b).view(np.uint8)).sum())


@pytest.mark.parametrize(
    "change",
    [
        lambda image: saved(image, 50),
        lambda image: image.resize((100, 100), Image.Resampling.BILINEAR),
        lambda image: saved(image.resize((150, 150)), 75),
        lambda image: image.point(lambda value: min(255, value + 4)),
    ],
)
def test_changed_copies_are_near_and_others_are_not(photographs, change):
    prints = np.stack([fingerprint(image) for image in [*photographs, *map(change, photographs)]])
    pairs, complete = near_pairs(prints)
    assert complete
    assert pairs.tolist() == [[i, i + len(photographs)] for i in range(len(photographs))]


def test_what_differs_in_colour_alone_is_not_alike():
    prints = []
    for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200)):
        image = Image.new("RGB", (60, 60), "white")
        image.paste(colour, (15, 15, 45, 45))
        prints += [fingerprint(image), fingerprint(saved(image, 90))]
    assert near_pairs(np.stack(prints)).pairs.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_the_search_finds_what_all_comparisons_find():
    rng = np.random.default_rng(0)
    bits = rng.random((300, 128)) < 0.5
    copies = bits[rng.integers(0, 300, 200)].copy()
    for row in copies:
        row[rng.choice(128, rng.integers(0, 12), replace=False)] ^= True
    rises = np.packbits(np.concatenate([bits, copies]), axis=1).view(np.uint16)
    prints = np.zeros(500, dtype=FINGERPRINT)
    prints["rises"] = rises
    expected = [[i, j] for i in range(500) for j in range(i + 1, 500) if differing(rises[i], rises[j]) <= NEAR]
    assert near_pairs(prints).pairs.tolist() == expected
    assert len(expected) > 50


def test_the_search_is_bounded():
    prints = np.zeros(5000, dtype=FINGERPRINT)  # 12 million pairs
    start = time.monotonic()
    pairs, complete = near_pairs(prints, most=1000)
    assert (len(pairs), complete) == (1000, False)
    assert not near_pairs(prints, budget=10_000).complete
    assert time.monotonic() - start < 10
    assert near_pairs(prints[:0]).pairs.shape == near_pairs(prints[:1]).pairs.shape == (0, 2)
