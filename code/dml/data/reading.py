"""From an image file to its pixels; torch is not loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from PIL import ExifTags, Image, UnidentifiedImageError

from dml.data.depth import FULL_DEPTH, is_deep, is_deep_grey, numbers_of, stated_white, to_8_bits, white_of
from dml.data.formats import open_image
from dml.data.records import ImageRecords, PixelRecords
from dml.errors import UserError

# What turns an image upright, by its EXIF orientation; 1 is upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


# Pillow's decoders report damage by any of these.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, TypeError, Image.DecompressionBombError)


class UnreadableImageError(UserError, OSError):
    """An image file that is missing, truncated, no image, or of numbers without a scale; the message names it."""


def read_image(
    path: str | os.PathLike[str], *, upright: bool = False, bits: int | None = None, within: int | None = None
) -> Image.Image:
    """The image at ``path`` as 8-bit RGB.

    Greyscale is repeated over the channels, more than 8 bits are scaled to 8, transparency is laid on white.
    32-bit whole numbers are read as 16-bit ones if all lie in 0..65535. Larger or negative ones, and floating-point
    numbers, are refused: which of them is black and which white is not in the file.

    Args:
        upright: turn the image as its EXIF orientation says; one that is damaged or out of 1..8 counts as upright.
        bits: of an image of more than 8 bits that does not state it: how many of them its numbers fill, so that
            2^bits − 1 is white; None: all 16.
        within: to look at, not to train on: so many pixels are the longer side at most. Of a JPEG file no more is
            decoded than that takes, an eighth of each side at least.

    NOTE: the published loaders drop the alpha channel (``convert("RGB")``), which shows whatever colour lies
    under transparent pixels; the four benchmarks have no transparent image, so no published figure changes.
    NOTE: the published loaders ignore the EXIF orientation, and so do those of every named data set here. A user's
    own images are turned upright, for a phone's portrait photographs would lie on their side (TIFF files are turned by
    Pillow itself, HEIC files by pillow-heif, always).

    Raises:
        UnreadableImageError: if the file is missing, truncated, not an image, or of numbers without a scale.
    """
    try:
        # Not by its name: Pillow maps raw greyscale files into memory then, and from 11 on garbles the TIFF files among
        # them that it has to turn.
        with Path(path).open("rb") as file, open_image(file) as image:
            if within is not None:
                image.draft(None, (2 * within, 2 * within))
            rgb = to_rgb(image, file, bits)
            if within is not None:
                rgb.thumbnail((within, within), Image.Resampling.LANCZOS)
            turn = turn_of(image) if upright else None
            return rgb if turn is None else rgb.transpose(turn)
    except FileNotFoundError as error:
        raise UnreadableImageError(f"image file is missing: {path}") from error
    except DAMAGE as error:
        raise UnreadableImageError(f"cannot read image {path}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Why an image cannot be read, in words that do not name its file; ``error`` is one of ``DAMAGE``."""
    if isinstance(error, UnidentifiedImageError):
        return "it is no image, or one of an unknown format"
    strerror = error.strerror if isinstance(error, OSError) else None
    return strerror or str(error) or type(error).__name__


def to_rgb(image: Image.Image, file: IO[bytes], bits: int | None = None) -> Image.Image:
    """8-bit RGB of an image that is opened, but not loaded; see ``read_image``.

    Args:
        file: what it was opened from.

    Raises:
        any of ``DAMAGE``.
    """
    if is_deep(image):
        white = stated_white(image) or white_of(bits or FULL_DEPTH)
        if is_deep_grey(image) or white < white_of(FULL_DEPTH):  # convert("RGB") would clip at 255, or cut off 8 bits
            image = Image.fromarray(to_8_bits(numbers_of(image, file), white))
    return plain_rgb(image)


def plain_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB of an image of at most 8 bits: grey repeated over the channels, transparency laid on white.

    Raises:
        any of ``DAMAGE``; ValueError for floating-point numbers.
    """
    image.load()
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode == "F":  # convert("RGB") would cut 0..1 to black and 0..65535 to white
        raise ValueError("its pixels are floating-point numbers; convert it to 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def turn_of(image: Image.Image) -> Image.Transpose | None:
    """What turns a loaded image upright; None: it is, as far as can be read.

    Not ``ImageOps.exif_transpose``, which writes the EXIF data anew and fails where some of them are damaged.
    """
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:  # damaged EXIF data make the parser fail in any way; the image itself is whole
        return None


def image_of(records: ImageRecords, index: int, *, within: int | None = None) -> Image.Image:
    """Image ``index`` of ``records`` as 8-bit RGB, small enough to look at if ``within`` is given.

    Raises:
        UnreadableImageError: see :func:`read_image`.
    """
    if not isinstance(records, PixelRecords):
        # A smaller one of a JPEG file is not made of the whole one.
        if within is None and records.cache is not None:
            kept = records.cache.array_of(records.key(index))
            if kept is not None:
                return Image.fromarray(kept)
        return read_image(records.paths[index], upright=records.upright, bits=records.bits, within=within)
    image = Image.fromarray(records.pixels[index])
    if within is not None:
        image.thumbnail((within, within), Image.Resampling.LANCZOS)
    return image
