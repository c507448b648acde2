"""JPEG files have Pillow's pixels, whoever decodes them."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torchvision.transforms import v2

from damage import damaged
from dml.data import decoding
from dml.data.decoding import DecoderWarning, exact_kinds, jpeg_pixels, pixels_of, read_pixels
from dml.data.images import ImageDataset
from dml.data.loader import eval_loader
from dml.data.reading import UnreadableImageError, read_image
from dml.data.records import ImageRecords
from dml.data.transforms import eval_transform

DECODES = pytest.mark.skipif(not exact_kinds(), reason="this torchvision decodes no JPEG files as this Pillow does")


def photo(size: tuple[int, int] = (53, 37)) -> Image.Image:
    coarse = np.random.default_rng(size).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def by_pillow(path: Path, **how) -> torch.Tensor:
    return v2.functional.pil_to_tensor(read_image(path, **how))


@pytest.fixture
def in_worker(monkeypatch):
    """As if a loading process read the images."""
    monkeypatch.setattr(decoding, "get_worker_info", lambda: True)


@DECODES
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 75},
        {"quality": 96, "subsampling": 0},
        {"quality": 30, "subsampling": 1},
        {"progressive": True},
        {"progressive": True, "quality": 95, "subsampling": 2},
        {"optimize": True, "restart_marker_rows": 1},
    ],
)
def test_pixels_are_pillows(tmp_path, mode, options):
    path = tmp_path / "a.JPG"
    for size in ((53, 37), (16, 16), (1, 1), (200, 3)):
        photo(size).convert(mode).save(path, "JPEG", **options)
        ours = jpeg_pixels(path, upright=True)
        assert torch.equal(ours, by_pillow(path))
        assert ours.stride() == by_pillow(path).stride(), "sums of pixels depend on their order"


@pytest.mark.parametrize("orientation", range(10))
def test_images_are_turned_as_pillow_turns_them(tmp_path, in_worker, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo().save(tmp_path / "a.jpg", exif=exif)
    for upright in (True, False):
        assert torch.equal(
            read_pixels(tmp_path / "a.jpg", upright=upright), by_pillow(tmp_path / "a.jpg", upright=upright)
        )


def test_what_is_left_to_pillow(tmp_path, in_worker):
    photo().convert("CMYK").save(tmp_path / "inks.jpg")
    photo().save(tmp_path / "other.jpg", "PNG")
    photo().save(tmp_path / "several.jpg", "MPO", save_all=True, append_images=[photo()])
    photo().save(tmp_path / "rgb.jpg", keep_rgb=True)
    for path in tmp_path.iterdir():
        assert jpeg_pixels(path, upright=False) is None
        assert torch.equal(read_pixels(path), by_pillow(path))


def outcome(read, path):
    try:
        return read(path)
    except UnreadableImageError as error:
        return str(error)


def test_damaged_files_are_what_they_were(tmp_path, in_worker, capfd):
    """Refused in the same words, or shown with the same pixels, and nothing is printed."""
    path, seen = tmp_path / "a.jpg", set()
    for mode, progressive in (("RGB", False), ("RGB", True), ("L", False)):
        file = io.BytesIO()
        photo().convert(mode).save(file, "JPEG", progressive=progressive, quality=90)
        for content in damaged(file.getvalue(), 150):
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF data
                ours, theirs = outcome(read_pixels, path), outcome(by_pillow, path)
            seen.add(type(theirs))
            assert type(ours) is type(theirs)
            assert ours == theirs if isinstance(ours, str) else torch.equal(ours, theirs)
    assert seen == {str, torch.Tensor}
    os.write(2, b"seen again")
    assert capfd.readouterr().err == "seen again"


def test_elsewhere_than_in_a_loading_process_pillow_decodes(tmp_path, monkeypatch):
    photo().save(tmp_path / "a.jpg")
    monkeypatch.delattr(decoding, "jpeg_pixels")
    assert torch.equal(read_pixels(tmp_path / "a.jpg"), by_pillow(tmp_path / "a.jpg"))


@pytest.fixture
def probed_anew():
    for function in (exact_kinds, decoding._warn_once):
        function.cache_clear()
    yield
    for function in (exact_kinds, decoding._warn_once):
        function.cache_clear()


def a_level_off(decode):
    def decoded(content):
        pixels = decode(content)
        return pixels + 1 if (pixels[0] != pixels[1]).any() else pixels  # of colours alone

    return decoded


def no_decoder(content):
    raise RuntimeError("Could not load the image extension")


@pytest.mark.parametrize(
    ("broken", "kinds"),
    [(True, "colour, progressive colour, grey, progressive grey"), (False, "colour, progressive colour")],
)
def test_a_decoder_that_is_missing_or_other_is_said_once_and_done_without(
    tmp_path, monkeypatch, in_worker, probed_anew, broken, kinds
):
    photo().save(tmp_path / "a.jpg")
    records = ImageRecords.from_classes([str(tmp_path / "a.jpg")], ["a"])
    monkeypatch.setattr(decoding, "_decode", no_decoder if broken else a_level_off(decoding._decode))
    transform = eval_transform(torch.nn.Identity(), resize=32, crop_size=32)
    with pytest.warns(DecoderWarning, match=rf"JPEG files \({kinds}\) are decoded by Pillow"):
        ImageDataset(records, transform)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageDataset(records, transform)
    assert torch.equal(pixels_of(records, 0), by_pillow(tmp_path / "a.jpg"))


def test_nothing_is_said_without_jpeg_files(tmp_path, monkeypatch, probed_anew):
    monkeypatch.setattr(decoding, "_decode", no_decoder)
    photo().save(tmp_path / "a.png")
    records = ImageRecords.from_classes([str(tmp_path / "a.png")], ["a"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ImageDataset(records, eval_transform(torch.nn.Identity(), resize=32, crop_size=32))


def test_loading_processes_give_the_same_batches(tmp_path):
    for number in range(6):
        photo((50 + number, 40)).convert("L" if number == 3 else "RGB").save(tmp_path / f"{number}.jpg")
    records = ImageRecords.from_classes([str(path) for path in sorted(tmp_path.iterdir())], list("aabbcc"))
    dataset = ImageDataset(records, eval_transform(torch.nn.Identity(), resize=32, crop_size=32))
    how = {"batch_size": 4, "device": torch.device("cpu")}
    for ours, theirs in zip(*(eval_loader(dataset, workers=workers, **how) for workers in (0, 1)), strict=True):
        assert torch.equal(ours.images, theirs.images)
