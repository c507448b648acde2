"""Which formats of images can be read, with what is installed."""

from __future__ import annotations

import importlib.util
from functools import cache
from typing import IO

from PIL import Image, UnidentifiedImageError, features
from PIL.ImageFile import ImageFile

ALWAYS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp"),
    *(".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"),
)
HEIC, AVIF = (".heic", ".heif", ".hif"), (".avif",)
# Name and remedy, by the ending and by the brand that a file begins with (ISO/IEC 14496-12, `ftyp`).
_HEIC, _AVIF = ("HEIC", "pip install pillow-heif"), ("AVIF", "pip install --upgrade pillow")
_BY_ENDING = dict.fromkeys(HEIC, _HEIC) | dict.fromkeys(AVIF, _AVIF)
_BY_BRAND = dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), _HEIC) | (
    dict.fromkeys((b"avif", b"avis"), _AVIF)
)


@cache
def image_suffixes() -> tuple[str, ...]:
    """The endings, in lower case, of the files that are read.

    HEIC's are among them where pillow-heif is installed, AVIF's where Pillow reads it (its packages from 11.3 on).
    """
    avif = AVIF if "avif" in features.get_supported_modules() else ()
    heic = HEIC if importlib.util.find_spec("pillow_heif") else ()
    return ALWAYS + avif + heic


def remedy(suffix: str) -> str | None:
    """The command that makes files of this ending readable; None: they are, or nothing known here does."""
    return None if suffix in image_suffixes() else _BY_ENDING.get(suffix, (None, None))[1]


def open_image(file: IO[bytes]) -> ImageFile:
    """``Image.open``, which learns to read HEIC when it meets the first such file, whatever its name.

    NOTE: pillow-heif turns HEIC images upright itself, always, and says so in the EXIF data that it hands on.

    Raises:
        UnidentifiedImageError: no image, or one of an unknown format.
        ValueError: the file is empty, or of a format that a package which is not there reads; the message names it.
    """
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        file.seek(0)
        head = file.read(12)
        if not head:
            raise ValueError("the file is empty") from None
        name, command = _BY_BRAND.get(head[8:12] if head[4:8] == b"ftyp" else b"", (None, None))
        if name is None:
            raise
        if name == "HEIC" and _register_heic():
            file.seek(0)
            return Image.open(file)
        if name == "AVIF" and AVIF[0] in image_suffixes():
            raise
        raise ValueError(f"it is {name}, to be read after `{command}`") from None


@cache
def _register_heic() -> bool:
    """Whether Pillow opens HEIC files from now on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True
