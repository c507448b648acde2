"""Decoded images that are kept are the images; the file that keeps them is whole, and of today."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import shutil
import signal
import time
from collections import namedtuple
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from dml.config import DataConfig
from dml.data import decoding, kept_images, memory
from dml.data.images import ImageDataset, UnreadableImageError, image_of
from dml.data.kept_images import with_kept_images
from dml.data.loader import eval_loader
from dml.data.records import ImageRecords, PixelRecords
from dml.data.transforms import train_transform
from dml.errors import UserError
from dml.models.input_spec import IMAGENET_RGB


@dataclass(frozen=True)
class Splits:
    """A data set as any is: splits among other things."""

    name: str
    train: ImageRecords
    test: ImageRecords | None = None
    unused: ImageRecords | None = None


def save(path: Path, number: int, **options) -> str:
    coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((64 + number, 48), Image.Resampling.BICUBIC)
    (image.convert("L") if number % 5 == 4 else image).save(path, **options)
    return str(path)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Splits:
    """Twelve images, some lying, grey or PNG, in two splits that share one; and an unused one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lying, folder = Image.Exif(), tmp_path / "photos"
    lying[ExifTags.Base.Orientation] = 6
    folder.mkdir()
    paths = [
        save(folder / f"{n:02d}.{'png' if n % 6 == 5 else 'jpg'}", n, **({"exif": lying} if n % 4 == 1 else {}))
        for n in range(13)
    ]
    records = ImageRecords.from_classes(paths, [n % 2 for n in range(13)])
    records = replace(records, upright=True)
    return Splits("folder", records.take(range(8)), records.take(range(7, 12)), records.take([12]))


def config(data: Splits, way: str, workers: int = 0) -> DataConfig:
    folder = str(Path(data.train.paths[0]).parent)
    return DataConfig(dataset="folder", data_dir=folder, cache_images=way, workers=workers)


def cache_file(tmp_path) -> Path:
    (file,) = (tmp_path / "cache" / "dml" / "images").glob("*.images")
    return file


def batches(records: ImageRecords, *, workers: int, pillow: bool = False) -> list[torch.Tensor]:
    transform = train_transform(IMAGENET_RGB.normalize, crop_size=16, augmentation="adv", pillow=pillow)
    dataset = ImageDataset(records, transform, num_views=2)
    how = {"batch_size": 3, "seed": 4, "device": torch.device("cpu")}
    return [batch.images for batch in eval_loader(dataset, workers=workers, **how)]


def refuse(*_, **__):
    raise AssertionError("an image was decoded again")


@pytest.mark.parametrize("pillow", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("way", ["memory", "disk"])
def test_batches_are_the_same(data, monkeypatch, way, workers, pillow):
    expected = [batches(part, workers=0, pillow=pillow) for part in (data.train, data.test)]
    kept = with_kept_images(data, config(data, way, workers))
    monkeypatch.setattr(decoding, "read_pixels", refuse)
    monkeypatch.setattr("dml.data.reading.read_image", refuse)
    for part, batches_of_it in zip((kept.train, kept.test), expected, strict=True):
        for epoch in range(2):
            found = batches(part, workers=workers, pillow=pillow)
            assert all(torch.equal(*pair) for pair in zip(found, batches_of_it, strict=True)), epoch
    assert kept.unused is data.unused


@pytest.mark.parametrize("way", ["memory", "disk"])
def test_parts_of_what_is_kept_are_kept(data, monkeypatch, way):
    kept = with_kept_images(data, config(data, way)).train
    expected = [np.asarray(image_of(data.train, index)) for index in range(len(kept))]
    monkeypatch.setattr("dml.data.reading.read_image", refuse)
    for part, indices in ((kept.take([5, 2]), (5, 2)), (kept.select([1]), (1,))):
        for place, index in enumerate(indices):
            np.testing.assert_array_equal(np.asarray(image_of(part, place)), expected[index])


@pytest.mark.parametrize("way", ["memory", "disk"])
def test_images_to_look_at_are_made_as_ever(data, way):
    kept = with_kept_images(data, config(data, way))
    for index in range(len(data.train)):
        small = [np.asarray(image_of(records, index, within=20)) for records in (data.train, kept.train)]
        np.testing.assert_array_equal(*small)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("way", ["memory", "disk"])
def test_unreadable_images_are_told_of_when_they_are_loaded(data, way, workers):
    whole = Path(data.train.paths[3]).read_bytes()
    Path(data.train.paths[3]).write_bytes(whole[: len(whole) // 2])
    Path(data.train.paths[4]).unlink()
    kept = with_kept_images(data, config(data, way, workers)).train
    for index, fault in ((3, "cannot read image .*03.jpg"), (4, "image file is missing: .*04.jpg")):
        with pytest.raises(UnreadableImageError, match=fault):
            batches(kept.take([0, index]), workers=workers)
    Path(data.train.paths[3]).write_bytes(whole)  # mended meanwhile
    assert len(batches(kept.take([0, 3]), workers=workers)) == 1


def test_without_it_nothing_is_kept(data, tmp_path):
    assert with_kept_images(data, config(data, "none")) is data
    assert not (tmp_path / "cache").exists()


def test_what_is_in_memory_anyhow_stays(data):
    pixels = PixelRecords(("0",), np.zeros(1, np.int64), ("a",), pixels=np.zeros((1, 4, 4, 3), np.uint8))
    only = Splits("cifar10", pixels)
    assert with_kept_images(only, config(data, "memory")) is only


# ---------------------------------------------------------------------- room


def test_memory_that_does_not_suffice_is_refused_with_what_is_needed(data, monkeypatch):
    sizes = [Image.open(path).size for path in {*data.train.paths, *data.test.paths}]
    needed = sum(3 * width * height for width, height in sizes)
    monkeypatch.setattr(kept_images, "free_memory", lambda: needed / kept_images.MOST + 1)
    with_kept_images(data, config(data, "memory"))
    monkeypatch.setattr(kept_images, "free_memory", lambda: needed / kept_images.MOST - 2)
    with pytest.raises(UserError, match=r"12 decoded images need 0\.1 GB, .* --cache-images disk keeps them in a file"):
        with_kept_images(data, config(data, "memory"))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    with pytest.raises(UserError, match=r"need 0\.1 GB in 4 processes together"):
        with_kept_images(data, config(data, "memory"))


def test_a_disk_without_room_is_refused_with_what_is_needed(data, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    with pytest.raises(UserError, match=r"0\.0 GB free, 0\.0 GB are needed for --cache-images disk \(12 decoded"):
        with_kept_images(data, config(data, "disk"))


def test_a_folder_that_cannot_be_written_to_is_refused(data, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"--cache-images disk: cannot write .*: Not a directory"):
        with_kept_images(data, config(data, "disk"))


def test_memory_is_not_shared_without_forks(data, monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "spawn")
    with pytest.raises(UserError, match="give --cache-images disk, or --workers 0"):
        with_kept_images(data, config(data, "memory", workers=1))
    with_kept_images(data, config(data, "memory", workers=0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"memory.max": "max", "memory.current": "5", "memory.stat": ""}, None),
        ({"memory.max": "1000", "memory.current": "600", "memory.stat": "inactive_file 250\n"}, 650),
        ({"memory.max": "1000", "memory.current": "1600", "memory.stat": "anon 3\n"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "1000",
                "memory/memory.usage_in_bytes": "600",
                "memory/memory.stat": "inactive_file 9\ntotal_inactive_file 50\n",
            },
            450,
        ),
        ({}, None),
    ],
)
def test_the_bounds_of_a_container(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory._of_group(tmp_path) == expected


# ---------------------------------------------------------------------- the file


def test_a_later_run_decodes_nothing(data, monkeypatch):
    expected = batches(data.test, workers=0)
    with_kept_images(data, config(data, "disk"))
    monkeypatch.setattr(decoding, "read_pixels", refuse)
    again = with_kept_images(data, config(data, "disk"))
    part = with_kept_images(Splits("folder", data.train.take([3])), config(data, "disk"))
    assert part.train.cache.images == again.train.cache.images, "what holds more is taken as it is"
    assert all(torch.equal(*pair) for pair in zip(batches(again.test, workers=0), expected, strict=True))


def test_images_that_changed_or_are_new_are_decoded_and_no_others(data, monkeypatch, capfd):
    with_kept_images(Splits("folder", data.train), config(data, "disk"))
    time.sleep(0.01)
    save(Path(data.train.paths[2]), 90)
    decoded, read = [], decoding.read_pixels
    monkeypatch.setattr(decoding, "read_pixels", lambda path, **how: decoded.append(path) or read(path, **how))
    kept = with_kept_images(data, config(data, "disk"))
    assert sorted(decoded) == sorted([data.train.paths[2], *data.test.paths[1:]])
    assert "(4 are new, 1 have changed)" in "".join(capfd.readouterr())
    for index in range(len(data.train)):
        np.testing.assert_array_equal(np.asarray(image_of(kept.train, index)), np.asarray(image_of(data.train, index)))


def cut(content: bytes) -> bytes:
    return content[:-30]


def without_index(content: bytes) -> bytes:
    return content[: len(content) // 3] + content[-16:]


def of_other_places(content: bytes) -> bytes:
    return content.replace(b", 48, 64]", b", 9999, 64]")


@pytest.mark.parametrize("harm", [cut, without_index, of_other_places, lambda _: b"", lambda content: content * 2])
def test_a_damaged_file_is_written_anew(data, tmp_path, harm):
    expected = batches(data.train, workers=0)
    with_kept_images(data, config(data, "disk"))
    file = cache_file(tmp_path)
    whole = file.read_bytes()
    assert harm(whole) != whole
    file.write_bytes(harm(whole))
    kept = with_kept_images(data, config(data, "disk"))
    assert all(torch.equal(*pair) for pair in zip(batches(kept.train, workers=0), expected, strict=True))
    assert file.read_bytes() == whole


def test_another_decoder_does_not_take_what_this_one_left(data, tmp_path, monkeypatch):
    with_kept_images(data, config(data, "disk"))
    monkeypatch.setattr(kept_images.PIL, "__version__", "99")
    with_kept_images(data, config(data, "disk"))
    assert len(list((tmp_path / "cache" / "dml" / "images").glob("*.images"))) == 2


def test_a_file_can_be_replaced_while_it_is_read(data):
    """A run goes on with what it has."""
    kept = with_kept_images(data, config(data, "disk"))
    expected = np.array(image_of(kept.train, 0))
    time.sleep(0.01)
    save(Path(data.train.paths[0]), 91)
    anew = with_kept_images(data, config(data, "disk"))
    np.testing.assert_array_equal(np.asarray(image_of(kept.train, 0)), expected)
    assert np.asarray(image_of(anew.train, 0)).shape != expected.shape


def test_it_goes_to_a_process_that_is_not_forked(data):
    kept = with_kept_images(data, config(data, "disk")).train
    again = pickle.loads(pickle.dumps(kept))
    np.testing.assert_array_equal(np.asarray(image_of(again, 1)), np.asarray(image_of(kept, 1)))
    with pytest.raises(TypeError, match="forked"):
        pickle.dumps(with_kept_images(data, config(data, "memory")).train)


FORK = multiprocessing.get_context("fork")


def keep_slowly(data: Splits, log: Path, kill_after: int | None) -> None:
    read, done = decoding.read_pixels, []

    def slow(path, **how):
        time.sleep(0.02)
        with log.open("a") as file:
            file.write(f"{path}\n")
        done.append(path)
        if len(done) == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(path, **how)

    decoding.read_pixels = slow
    kept = with_kept_images(data, config(data, "disk"))
    assert np.asarray(image_of(kept.train, 0)).shape == np.asarray(image_of(data.train, 0)).shape


def in_process(*arguments) -> multiprocessing.Process:
    process = FORK.Process(target=keep_slowly, args=arguments)
    process.start()
    return process


def test_one_of_several_processes_decodes_and_the_others_wait(data, tmp_path):
    processes = [in_process(data, tmp_path / "log", None) for _ in range(3)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 12


def test_a_process_that_is_killed_leaves_nothing_behind_that_stays(data, tmp_path):
    killed = in_process(data, tmp_path / "log", 5)
    killed.join(60)
    assert killed.exitcode == -signal.SIGKILL
    folder = tmp_path / "cache" / "dml" / "images"
    assert not list(folder.glob("*.images"))
    assert list(folder.glob(".*.tmp"))
    kept = with_kept_images(data, config(data, "disk"))
    np.testing.assert_array_equal(np.asarray(image_of(kept.train, 5)), np.asarray(image_of(data.train, 5)))
    assert not list(folder.glob(".*.tmp"))
