"""Images that strangers send: told apart from what is none, and measured, before a pixel is decoded."""

from __future__ import annotations

import io
import warnings

from PIL import Image

from dml.data.formats import open_image
from dml.data.reading import DAMAGE, reason_of, to_rgb, turn_of

MOST_BYTES = 32 * 2**20
MOST_PIXELS = 120_000_000
# Not all that Pillow reads: it hands PostScript to another program, say.
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")


class UploadError(Exception):
    """What was sent is no image that is taken; the message is for who sent it."""


def decode(content: bytes, *, upright: bool, bits: int | None) -> Image.Image:
    """8-bit RGB of an image, as ``dml.data.reading.read_image`` has it of a file.

    Raises:
        UploadError: it is none, of a format that is not taken, damaged, or too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of many pixels, which are counted below
            file = io.BytesIO(content)
            image = _opened(file)
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise UploadError(f"the image has {width:,} × {height:,} pixels: more than {MOST_PIXELS:,}")
            rgb = to_rgb(image, file, bits)
            turn = turn_of(image) if upright else None
            return rgb if turn is None else rgb.transpose(turn)
    except DAMAGE as error:
        raise UploadError(f"this cannot be read as an image: {reason_of(error)}") from error


def _opened(file: io.BytesIO) -> Image.Image:
    if file.getvalue()[4:8] == b"ftyp":  # HEIC, which a package besides Pillow reads, or AVIF
        return open_image(file)
    return Image.open(file, formats=[name for name in FORMATS if name in _known()])


def _known() -> set[str]:
    Image.init()
    return set(Image.OPEN)
