"""Tiny image files and folders for the tests of the datasets."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import ExifTags, Image

from dml.data import formats, layout, own_images


def write_image(path: Path, colour: tuple[int, int, int] = (200, 30, 60), size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
    return path


def write_lying(path: Path, orientation: int = 6) -> Path:
    """An image of 8 × 6 pixels whose EXIF data say how to turn it; 6: by 90 degrees to the right."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), (200, 30, 60)).save(path, exif=exif)
    return path


def write_classes(root: Path, names: list[str], per_class: int = 2) -> None:
    """``root/<name>/<i>.jpg``, each of a colour of its own: images of equal content would be found as copies."""
    for name in names:
        for i in range(per_class):
            path = root / name / f"{i}.jpg"
            write_image(path, colour=tuple(zlib.crc32(str(path).encode()).to_bytes(4, "big")[:3]))


def write_png16(path: Path, pixels: np.ndarray) -> Path:
    """A PNG file of 16 bits, which Pillow writes of greyscale alone; ``pixels`` (H, W, 1 to 4) uint16."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    height, width, channels = pixels.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = (b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(parts))
    return path


def only_usual_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if neither Pillow read AVIF nor pillow-heif were installed."""
    suffixes = lambda: formats.ALWAYS  # noqa: E731
    for module in (formats, layout, own_images):
        monkeypatch.setattr(module, "image_suffixes", suffixes)
    monkeypatch.setattr(formats, "_register_heic", lambda: False)


def write_annotations(path: Path, path_field: str, names: list[str], class_ids: list[int]) -> None:
    """A list of Cars-196 as MATLAB wrote the official ones: a 1 × N struct array, numbers as 1 × 1 arrays."""
    annotations = np.empty((1, len(names)), dtype=[("bbox_x1", object), ("class", object), (path_field, object)])
    for i, (name, class_id) in enumerate(zip(names, class_ids, strict=True)):
        annotations[0, i] = (np.array([[1]], np.uint8), np.array([[class_id]], np.uint8), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"annotations": annotations})
