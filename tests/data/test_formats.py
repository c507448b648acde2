"""Formats that a package must be there for: read where it is, named where it is not."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image, features
from tiny_images import write_lying

from dml.data import formats
from dml.data.images import UnreadableImageError, read_image
from dml.data.readable import fault_of

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
AVIF = b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf"

can_read_avif = pytest.mark.skipif("avif" not in features.get_supported_modules(), reason="Pillow without AVIF")


@pytest.fixture
def fresh(monkeypatch):
    """What is installed is looked for anew."""
    for looked in (formats.image_suffixes, formats._register_heic):
        looked.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    for looked in (formats.image_suffixes, formats._register_heic):
        looked.cache_clear()


@pytest.mark.parametrize("avif", [False, True])
@pytest.mark.parametrize("heic", [False, True])
def test_endings_are_those_of_what_is_installed(fresh, avif, heic):
    fresh.setattr(features, "get_supported_modules", lambda: ["avif"] if avif else [])
    fresh.setattr(importlib.util, "find_spec", lambda name: name if heic else None)
    found = formats.image_suffixes()
    assert set(formats.ALWAYS) <= set(found)
    assert (".avif" in found, ".heic" in found, ".hif" in found) == (avif, heic, heic)
    assert formats.remedy(".heic") == (None if heic else "pip install pillow-heif")
    assert formats.remedy(".avif") == (None if avif else "pip install --upgrade pillow")
    assert formats.remedy(".cr2") is None


def test_the_package_is_named_whatever_the_file_is_called(tmp_path, fresh):
    fresh.setitem(sys.modules, "pillow_heif", None)
    for name in ("a.heic", "a.jpg"):
        (tmp_path / name).write_bytes(HEIC + bytes(200))
        assert fault_of(tmp_path / name) == "it is HEIC, to be read after `pip install pillow-heif`"
        with pytest.raises(UnreadableImageError, match=rf"{name}: it is HEIC, to be read after `pip install"):
            read_image(tmp_path / name)


def test_damaged_avif_is_not_taken_for_unknown(tmp_path, fresh):
    fresh.setattr(features, "get_supported_modules", list)
    (tmp_path / "a.avif").write_bytes(AVIF)
    assert fault_of(tmp_path / "a.avif") == "it is AVIF, to be read after `pip install --upgrade pillow`"
    formats.image_suffixes.cache_clear()
    fresh.setattr(features, "get_supported_modules", lambda: ["avif"])
    assert "pip" not in fault_of(tmp_path / "a.avif")


@can_read_avif
@pytest.mark.parametrize(("orientation", "size"), [(1, (8, 6)), (6, (6, 8)), (3, (8, 6))])
def test_avif_is_turned_once(tmp_path, orientation, size):
    path = write_lying(tmp_path / "a.avif", orientation)
    assert read_image(path, upright=True).size == size
    assert read_image(path).size == (8, 6)
    assert fault_of(path) is fault_of(path, whole=True) is None


@pytest.mark.parametrize("name", ["a.heic", "misnamed.jpg"])
def test_heic_is_read_and_turned_once(tmp_path, fresh, name):
    """pillow-heif turns it itself, so that the picture is upright whether asked for or not."""
    heif = pytest.importorskip("pillow_heif")
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32] = 255  # the left half is white, and the upper one once the picture is turned to the right
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / name, quality=90, exif=exif.tobytes())
    assert ".heic" in formats.image_suffixes()
    for upright in (False, True):
        shown = read_image(tmp_path / name, upright=upright)
        assert shown.size == (48, 64)
        assert shown.getpixel((24, 5))[0] > 200 > 50 > shown.getpixel((24, 58))[0]
    assert fault_of(tmp_path / name) is fault_of(tmp_path / name, whole=True) is None
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-40])
    assert fault_of(tmp_path / name) is not None
