"""Images of more than 8 bits are as bright as they were meant, whichever of their numbers is white."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from tiny_images import write_png16

from dml.data.depth import bits_that_hold, to_8_bits
from dml.data.images import read_image
from dml.data.readable import examine

RAMP = np.linspace(0, 1, 6)


def numbers(top: int, channels: int = 1) -> np.ndarray:
    """(2, 6, channels) uint16 from black to ``top``; each channel half as bright as the one before it."""
    shares = RAMP[:, None] / 2 ** np.arange(channels)
    return np.tile((shares * top).astype(np.uint16), (2, 1, 1))


def write(path, pixels: np.ndarray, **options):
    """(2, 6, 1 or 3) uint16."""
    if path.suffix == ".png":
        return write_png16(path, pixels)
    Image.fromarray(pixels[..., 0]).save(path, **options)
    return path


def colours_tiff(path, pixels: np.ndarray, order: str):
    """An uncompressed TIFF file of (H, W, 3) colours of 16 bits, which Pillow does not write."""
    height, width, _ = pixels.shape
    data, mark = pixels.astype(f"{order}u2").tobytes(), {"<": b"II", ">": b"MM"}[order]
    # Tag, type (3: 16 bits, 4: 32 bits), count, value; the depths (258) of the three channels stand before the pixels.
    entries = [
        *[(256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 140)],
        *[(277, 3, 1, 3), (278, 4, 1, height), (279, 4, 1, len(data)), (296, 3, 1, 1)],
    ]
    table = b""
    for tag, kind, count, value in entries:
        short = kind == 3 and count == 1
        table += np.array([tag, kind], f"{order}u2").tobytes() + np.array(count, f"{order}u4").tobytes()
        table += np.array([value, 0], f"{order}u2").tobytes() if short else np.array(value, f"{order}u4").tobytes()
    head = mark + np.array(42, f"{order}u2").tobytes() + np.array(8, f"{order}u4").tobytes()
    head += np.array(len(entries), f"{order}u2").tobytes() + table + bytes(4)
    assert len(head) == 134
    path.write_bytes(head + np.array([16] * 3, f"{order}u2").tobytes() + data)
    return path


def greys_of(path, bits: int | None) -> list[int]:
    return np.asarray(read_image(path, bits=bits))[0, :, 0].tolist()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_white_is_the_largest_number_of_the_bits(tmp_path, suffix, bits):
    path = write(tmp_path / f"a.{suffix}", numbers(2**bits - 1))
    assert greys_of(path, bits) == pytest.approx((RAMP * 255).tolist(), abs=1.01)
    assert examine(path, whole=True).peak == 2**bits - 1


def test_all_16_bits_are_read_as_ever(tmp_path):
    """Numbers are divided by 257 and rounded down, unless something else is said."""
    pixels = np.arange(0, 65536, 11, dtype=np.uint16)[None]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert greys_of(tmp_path / "a.png", None) == greys_of(tmp_path / "a.png", 16) == (pixels[0] // 257).tolist()


def test_whole_numbers_of_32_bits_may_be_few(tmp_path):
    Image.fromarray(np.array([[0, 51, 255]], np.int32)).save(tmp_path / "a.tif")
    assert greys_of(tmp_path / "a.tif", 8) == [0, 51, 255]
    assert examine(tmp_path / "a.tif", whole=True).peak == 255


@pytest.mark.parametrize("kind", ["png", "<", ">"])
def test_colours_of_fewer_bits_keep_them(tmp_path, kind):
    pixels, path = numbers(4095, channels=3), tmp_path / "a"
    path = write_png16(path, pixels) if kind == "png" else colours_tiff(path, pixels, kind)
    shown = np.asarray(read_image(path, bits=12)).astype(int)
    np.testing.assert_allclose(shown, pixels * (255 / 4095), atol=1.01)
    assert len(np.unique(shown[..., 2])) == 6, "told apart by more than their upper 8 bits"
    assert np.asarray(read_image(path)).max() == 15, "all 16 bits: the upper 8, as ever"
    assert examine(path, whole=True).peak == 4095


def test_opacity_is_no_brightness(tmp_path):
    pixels = np.concatenate([numbers(4095, channels=3), np.full((2, 6, 1), 65535, np.uint16)], axis=2)
    path = write_png16(tmp_path / "a.png", pixels)
    assert examine(path, whole=True).peak == 4095
    np.testing.assert_allclose(np.asarray(read_image(path, bits=12)), pixels[..., :3] * (255 / 4095), atol=1.01)


def test_a_file_that_says_what_is_white_is_believed(tmp_path):
    """And has no part in what is found out about the others."""
    grey = numbers(4095)[..., 0]
    Image.fromarray(grey).save(tmp_path / "stated.tif", tiffinfo={341: 4095.0})
    (tmp_path / "stated.pgm").write_bytes(b"P5 6 2 4095\n" + grey.astype(">u2").tobytes())
    for name in ("stated.tif", "stated.pgm"):
        for bits in (None, 8, 16):
            assert greys_of(tmp_path / name, bits) == pytest.approx((RAMP * 255).tolist(), abs=1.01)
        assert examine(tmp_path / name, whole=True).peak is None


def test_numbers_above_white_are_white():
    assert to_8_bits(np.array([0, 4095, 4096, 65535], np.int32), 4095).tolist() == [0, 255, 255, 255]


@pytest.mark.parametrize(
    ("number", "bits"), [(0, 8), (255, 8), (256, 10), (1023, 10), (3984, 12), (4096, 14), (16384, 16), (65535, 16)]
)
def test_the_fewest_bits_that_hold_a_number(number, bits):
    assert bits_that_hold(number) == bits
