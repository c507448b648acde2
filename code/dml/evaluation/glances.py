"""What one look at each image gives without any network: small pixels, a colour histogram, a fingerprint."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from dml.data import ImageRecords
from dml.data.images import image_of
from dml.data.near_duplicates import FINGERPRINT, fingerprint
from dml.data.readable import in_threads

PIXELS_SIDE, COLOURS_SIDE = 16, 64
HUES, SATURATIONS, VALUES = 12, 4, 4


class Glances(NamedTuple):
    """Of N images.

    Attributes:
        pixels: (N, 768) uint8, the image squeezed to 16 × 16 pixels.
        colours: (N, 192) float32, roots of the shares of its pixels in 12 hues × 4 saturations × 4 values: their inner
            product is the Bhattacharyya coefficient of two histograms, and each has length 1.
        prints: (N,) of ``FINGERPRINT``, see ``dml.data.near_duplicates``.
    """

    pixels: np.ndarray
    colours: np.ndarray
    prints: np.ndarray


def look_at(records: ImageRecords, *, quiet: bool = False) -> Glances:
    """One look at each of ``records``, in their order, in threads. Takes the time of decoding them once.

    Args:
        quiet: without a progress bar.

    Raises:
        UnreadableImageError: an image that cannot be read.
    """
    looks = in_threads(lambda index: _glance(image_of(records, index)), range(len(records)), "images", quiet=quiet)
    pixels, colours, prints = zip(*looks, strict=True)
    return Glances(np.stack(pixels), np.stack(colours), np.array(list(prints), dtype=FINGERPRINT))


def _glance(image: Image.Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    small = image.resize((PIXELS_SIDE, PIXELS_SIDE), Image.Resampling.BOX)
    return np.asarray(small).ravel(), colour_histogram(image), fingerprint(image)


def colour_histogram(image: Image.Image) -> np.ndarray:
    """(192,) float32, see ``Glances.colours``, of an RGB image of any size."""
    small = image.resize((COLOURS_SIDE, COLOURS_SIDE), Image.Resampling.BOX, reducing_gap=4.0)
    hue, saturation, value = np.asarray(small.convert("HSV"), dtype=np.int64).reshape(-1, 3).T
    places = (hue * HUES // 256 * SATURATIONS + saturation * SATURATIONS // 256) * VALUES + value * VALUES // 256
    counts = np.bincount(places, minlength=HUES * SATURATIONS * VALUES)
    return np.sqrt(counts / len(places)).astype(np.float32)
