from __future__ import annotations

import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from tiny_images import write_image, write_lying
from torch.utils.data import DataLoader

from dml.data.images import ImageDataset, SampleKey, UnreadableImageError, collate, image_of, read_image
from dml.data.records import ImageRecords, PixelRecords
from dml.data.transforms import train_transform

NO_NORMALISATION = torch.nn.Identity()


def pixel(path) -> tuple[int, int, int]:
    image = read_image(path)
    assert image.mode == "RGB"
    return image.getpixel((0, 0))


def transparent_palette() -> Image.Image:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (Image.new("RGB", (4, 4), (10, 20, 30)), "png", (10, 20, 30)),
        (Image.new("L", (4, 4), 77), "png", (77, 77, 77)),
        (Image.new("1", (4, 4), 1), "png", (255, 255, 255)),
        (Image.new("LA", (4, 4), (77, 255)), "png", (77, 77, 77)),
        (Image.new("LA", (4, 4), (77, 0)), "png", (255, 255, 255)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 255)), "png", (10, 20, 30)),
        (Image.new("RGBA", (4, 4), (10, 20, 30, 0)), "png", (255, 255, 255)),
        (Image.new("RGB", (4, 4), (10, 20, 30)).quantize(2), "png", (10, 20, 30)),
        (transparent_palette(), "png", (255, 255, 255)),
        (Image.new("CMYK", (4, 4), (0, 0, 0, 255)), "tif", (0, 0, 0)),
        (Image.fromarray(np.full((4, 4), 257 * 77, np.uint16)), "png", (77, 77, 77)),
        (Image.fromarray(np.full((4, 4), 257 * 77, np.uint16)), "tif", (77, 77, 77)),
    ],
    ids=["RGB", "L", "1", "LA", "LA-clear", "RGBA", "RGBA-clear", "P", "P-clear", "CMYK", "16-bit", "16-bit-tif"],
)
def test_every_mode_becomes_rgb(tmp_path, image, suffix, expected):
    image.save(tmp_path / f"image.{suffix}")
    assert pixel(tmp_path / f"image.{suffix}") == expected


def test_half_transparent_is_mixed_with_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "a.png")
    assert pixel(tmp_path / "a.png") == (127, 127, 127)


def test_transparent_colour_of_rgb(tmp_path):
    Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / "a.png", transparency=(10, 20, 30))
    assert pixel(tmp_path / "a.png") == (255, 255, 255)


# An F-shaped pattern as it looks upright, and how a file with each EXIF orientation stores it.
UPRIGHT = np.array([[1, 1, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]], np.uint8) * 255
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),  # shown turned to the right, so stored turned to the left
    7: UPRIGHT[::-1, ::-1].T,
    8: np.rot90(UPRIGHT, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_images_are_turned_upright_on_request(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = np.ascontiguousarray(STORED[orientation])
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png"))[..., 0], stored)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.png", upright=True))[..., 0], UPRIGHT)


@pytest.mark.parametrize("orientation", STORED)
def test_tiff_files_are_not_turned_twice(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(STORED[orientation])).save(tmp_path / "a.tif", exif=exif)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "a.tif", upright=True))[..., 0], UPRIGHT)


@pytest.mark.parametrize("orientation", [0, 9])
def test_orientations_that_do_not_exist_turn_nothing(tmp_path, orientation):
    assert read_image(write_lying(tmp_path / "a.jpg", orientation), upright=True).size == (8, 6)


def exif_with_text_for_a_number() -> bytes:
    """Orientation 6 beside a resolution that is text; Pillow reads it and cannot write it again."""
    entries = struct.pack("<HHHIHH", 2, 0x0112, 3, 1, 6, 0) + struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + entries + bytes(4)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    ("exif", "size"),
    [
        (b"Exif\0\0garbage that is no TIFF", (8, 6)),
        (b"Exif\0\0II*\0\xff\xff\xff\xff", (8, 6)),
        (exif_with_text_for_a_number(), (6, 8)),
    ],
    ids=["garbage", "cut", "unwritable"],
)
def test_damaged_exif_data_do_not_make_an_image_unreadable(tmp_path, suffix, exif, size):
    Image.new("RGB", (8, 6)).save(tmp_path / f"a.{suffix}", exif=exif)
    assert read_image(tmp_path / f"a.{suffix}", upright=True).size == size


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((4, 4), 0.5, np.float32), "floating-point numbers; convert it to 8 or 16 bits"),
        (np.full((4, 4), 65535, np.float32), "floating-point numbers; convert it to 8 or 16 bits"),
        (np.full((4, 4), 65536, np.int32), "whole numbers from 65536 to 65536; convert it to 8 or 16 bits"),
        (np.array([[-1, 7]], np.int32), "whole numbers from -1 to 7; convert it to 8 or 16 bits"),
    ],
)
def test_numbers_without_a_scale_are_refused(tmp_path, pixels, message):
    Image.fromarray(pixels).save(tmp_path / "scan.tif")
    with pytest.raises(UnreadableImageError, match=rf"scan\.tif: its pixels are {message}"):
        read_image(tmp_path / "scan.tif")


def test_whole_numbers_of_32_bits_are_read_as_16(tmp_path):
    Image.fromarray(np.full((4, 4), 257 * 77, np.int32)).save(tmp_path / "a.tif")
    assert pixel(tmp_path / "a.tif") == (77, 77, 77)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_images_to_look_at_are_small(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    pixels = np.ascontiguousarray(np.broadcast_to(np.linspace(0, 255, 1200)[:, None], (800, 1200, 3)).astype(np.uint8))
    path = tmp_path / f"large{suffix}"
    Image.fromarray(pixels).save(path, exif=exif)
    small = read_image(path, upright=True, within=90)
    assert small.size == ((90, 60) if orientation == 1 else (60, 90))
    expected = read_image(path, upright=True).resize(small.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(expected)).max() <= 4
    records = ImageRecords((str(path),), np.zeros(1, int), ("a",))
    assert max(image_of(records, 0, within=50).size) == 50
    in_memory = PixelRecords(("0",), np.zeros(1, int), ("a",), pixels=pixels[None])
    assert image_of(in_memory, 0, within=50).size == (50, 33)
    assert read_image(path, within=2000).size == (1200, 800)


def test_unreadable_images_are_named(tmp_path):
    whole = write_image(tmp_path / "whole.jpg", size=(64, 64)).read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("not an image")
    for name in ("truncated.jpg", "empty.jpg", "text.png", "missing.jpg"):
        with pytest.raises(UnreadableImageError, match=name):
            read_image(tmp_path / name)


def gradient_records(folder, count: int = 4) -> ImageRecords:
    paths = []
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
        paths.append(str(folder / f"{i}.png"))
    return ImageRecords.from_classes(paths, [i % 2 for i in range(count)])


def random_dataset(folder, num_views: int = 2) -> ImageDataset:
    transform = train_transform(NO_NORMALISATION, crop_size=8)
    return ImageDataset(gradient_records(folder), transform, num_views=num_views)


def test_a_seed_fixes_the_views_and_leaves_the_generator_alone(tmp_path):
    dataset = random_dataset(tmp_path)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = dataset[SampleKey(2, 2**63 - 1)]
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    again = dataset[SampleKey(2, 2**63 - 1)]
    other = dataset[SampleKey(2, 8)]
    assert all(torch.equal(a, b) for a, b in zip(first.views, again.views, strict=True))
    assert not torch.equal(first.views[0], other.views[0])
    assert not torch.equal(first.views[0], first.views[1])
    assert (first.label, first.index) == (0, 2)


def test_the_generator_is_restored_after_an_error(tmp_path):
    dataset = ImageDataset(ImageRecords.from_classes([str(tmp_path / "no.png")], ["a"]), NO_NORMALISATION)
    before = torch.get_rng_state()
    with pytest.raises(UnreadableImageError):
        dataset[SampleKey(0, 5)]
    assert torch.equal(torch.get_rng_state(), before)


def test_a_plain_index_draws_from_the_global_generator(tmp_path):
    dataset = random_dataset(tmp_path)
    torch.manual_seed(3)
    first = dataset[0].views[0]
    assert not torch.equal(first, dataset[0].views[0])
    torch.manual_seed(3)
    assert torch.equal(first, dataset[0].views[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_workers(tmp_path, workers):
    dataset = random_dataset(tmp_path)
    keys = [[SampleKey(0, 10), SampleKey(3, 11)], [SampleKey(1, 12), SampleKey(2, 13)]]
    expected = [collate([dataset[key] for key in batch]) for batch in keys]
    loader = DataLoader(dataset, batch_sampler=keys, num_workers=workers, collate_fn=collate)
    for batch, reference in zip(loader, expected, strict=True):
        assert torch.equal(batch.images, reference.images)
        assert torch.equal(batch.indices, reference.indices)


def test_an_unreadable_image_is_named_through_a_worker(tmp_path):
    records = ImageRecords.from_classes([str(tmp_path / "lost.png")], ["a"])
    loader = DataLoader(ImageDataset(records, NO_NORMALISATION), num_workers=1, collate_fn=collate)
    batches = iter(loader)
    with pytest.raises(UnreadableImageError, match=r"lost\.png"):
        next(batches)
    assert list(batches) == []  # lets the worker end


def test_collate_orders_rows_view_by_view(tmp_path):
    dataset = random_dataset(tmp_path, num_views=3)
    samples = [dataset[SampleKey(i, i)] for i in (3, 0)]
    batch = collate(samples)
    assert batch.images.shape == (6, 3, 8, 8)
    assert batch.images.dtype == torch.uint8  # numbers are made of it on the device
    assert batch.labels.tolist() == [1, 0, 1, 0, 1, 0]
    assert batch.indices.tolist() == [3, 0, 3, 0, 3, 0]
    assert batch.num_views == 3
    for view in range(3):
        for b, sample in enumerate(samples):
            assert torch.equal(batch.images[view * 2 + b], sample.views[view])


def test_no_views_is_refused(tmp_path):
    with pytest.raises(ValueError, match="num_views"):
        random_dataset(tmp_path, num_views=0)


def test_dataset_travels_to_spawned_workers(tmp_path):
    dataset = pickle.loads(pickle.dumps(random_dataset(tmp_path)))
    assert len(dataset) == 4
