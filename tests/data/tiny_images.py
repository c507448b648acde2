"""Tiny image files and folders for the tests of the datasets."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import scipy.io
from PIL import ExifTags, Image


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


def write_annotations(path: Path, path_field: str, names: list[str], class_ids: list[int]) -> None:
    """A list of Cars-196 as MATLAB wrote the official ones: a 1 × N struct array, numbers as 1 × 1 arrays."""
    annotations = np.empty((1, len(names)), dtype=[("bbox_x1", object), ("class", object), (path_field, object)])
    for i, (name, class_id) in enumerate(zip(names, class_ids, strict=True)):
        annotations[0, i] = (np.array([[1]], np.uint8), np.array([[class_id]], np.uint8), name)
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {"annotations": annotations})
