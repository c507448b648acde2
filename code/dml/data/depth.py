"""Images of more than 8 bits: which of their numbers is white."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dml.data.formats import open_image

DEPTHS = (8, 10, 12, 14, 16)  # of sensors, and of what is stored of them
FULL_DEPTH = DEPTHS[-1]
_BITS, _LARGEST = 258, 341  # tags of TIFF: BitsPerSample, SMaxSampleValue
# Of colours of 16 bits Pillow keeps the higher byte; read as if in the other order, it keeps the lower one.
_OTHER_ORDER = {"16L": "16B", "16B": "16L", "16N": "16B" if sys.byteorder == "little" else "16L"}


def white_of(bits: int) -> int:
    """The largest number of ``bits`` bits."""
    return (1 << bits) - 1


def bits_that_hold(number: int) -> int:
    """The fewest bits of ``DEPTHS`` that hold ``number``, 0..65535."""
    return next(bits for bits in DEPTHS if number <= white_of(bits))


def settled_bits(bits: int | None, peaks: Iterable[int]) -> int | None:
    """How many bits images have: as asked, else the fewest that hold the largest number in all of them.

    Args:
        bits: what was asked for; None: nothing.
        peaks: the largest number, 0..65535, of each image of more than 8 bits that does not state them.

    Returns:
        None: nothing was asked for, and there are no such images.
    """
    return bits or max((bits_that_hold(peak) for peak in peaks), default=None)


def stated_white(image: Image.Image) -> int | None:
    """Which number of an opened image of more than 8 bits is white, as its file says; None: it does not say.

    A PNG file never does, for the bits that it calls significant (sBIT) are the upper ones of 16.
    """
    if image.format == "PPM":  # Pillow has scaled its numbers to 16 bits
        return white_of(FULL_DEPTH)
    if not isinstance(image, TiffImageFile):
        return None
    bits, largest = (int(np.max(image.tag_v2.get(tag, 0))) for tag in (_BITS, _LARGEST))
    if 0 < largest <= white_of(FULL_DEPTH):
        return largest
    return white_of(bits) if 8 < bits < FULL_DEPTH else None


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is opened, but not loaded, has more than 8 bits: 16, or whole numbers of 32."""
    return is_deep_grey(image) or _is_deep_colour(image)


def is_deep_grey(image: Image.Image) -> bool:
    """Whether Pillow keeps the whole numbers themselves, which is so of grey ones alone."""
    return image.mode == "I" or image.mode.startswith("I;16")


def _is_deep_colour(image: Image.Image) -> bool:
    tiles = image.tile if isinstance(image, ImageFile) else ()
    modes = [_raw_mode(tile).partition(";") for tile in tiles]
    return bool(modes) and all(kind in ("RGB", "RGBA") and order in _OTHER_ORDER for kind, _, order in modes)


def numbers_of(image: Image.Image, file: IO[bytes]) -> np.ndarray:
    """(H, W), or of colours (H, W, 3 or 4), int32 numbers 0..65535 of an image of more than 8 bits, which is loaded.

    Colours are decoded twice: see ``_OTHER_ORDER``.

    Args:
        file: what ``image`` was opened from.

    Raises:
        ValueError: numbers outside of 0..65535, of which nothing says which is white.
    """
    image.load()
    if is_deep_grey(image):
        numbers = np.asarray(image).astype(np.int32)
        low, high = numbers.min(), numbers.max()
        if low < 0 or high > white_of(FULL_DEPTH):
            raise ValueError(f"its pixels are whole numbers from {low} to {high}; convert it to 8 or 16 bits")
        return numbers
    file.seek(0)
    with open_image(file) as lower:
        lower.tile = [_in_other_order(tile) for tile in lower.tile]
        lower.load()
        return np.asarray(image).astype(np.int32) << 8 | np.asarray(lower)


def peak_of(numbers: np.ndarray) -> int:
    """The largest number of what ``numbers_of`` gives, opacity left out."""
    return int(numbers[..., :3].max() if numbers.ndim == 3 else numbers.max())


def to_8_bits(numbers: np.ndarray, white: int) -> np.ndarray:
    """uint8 of the same shape: 0..white → 0..255, rounded down; larger numbers are white."""
    return (np.minimum(numbers, white) * 255 // white).astype(np.uint8)


def _raw_mode(tile: Sequence[Any]) -> str:
    """How the pixels of a tile (decoder, box, offset, arguments) are stored; "" where it does not say."""
    mode = tile[3] if isinstance(tile[3], str) else tile[3][0] if tile[3] else ""
    return mode if isinstance(mode, str) else ""


def _in_other_order(tile: Any) -> Any:
    kind, _, order = _raw_mode(tile).partition(";")
    mode = f"{kind};{_OTHER_ORDER[order]}"
    arguments = mode if isinstance(tile[3], str) else (mode, *tile[3][1:])
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)  # before Pillow 11
