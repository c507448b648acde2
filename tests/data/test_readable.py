"""Files that cannot be read are found without a training, and no others."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image, features
from tiny_images import write_image

from dml.data.images import UnreadableImageError, read_image
from dml.data.readable import Examined, examine, examine_all, fault_of

SAVED = {
    "a.jpg": {},
    "progressive.jpg": {"progressive": True},
    "cmyk.jpg": {},
    "a.png": {},
    "palette.png": {},
    "a.gif": {},
    "a.webp": {},
    "a.tif": {},
    "lzw.tif": {"compression": "tiff_lzw"},
    "a.bmp": {},
    "a.ppm": {},
    "a.avif": {},
}
MODES = {"cmyk.jpg": "CMYK", "palette.png": "P"}


def save(path: Path) -> Path:
    """A picture of 100 × 80 pixels that nothing compresses well."""
    if path.suffix == ".avif" and "avif" not in features.get_supported_modules():
        pytest.skip("Pillow without AVIF")
    noise = np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(noise).convert(MODES.get(path.name, "RGB")).save(path, **SAVED[path.name])
    return path


def failure(path) -> str | None:
    """What reading says, without the file's name."""
    try:
        read_image(path)
    except UnreadableImageError as error:
        return str(error).partition(f"{path}: ")[2]
    return None


@pytest.mark.parametrize("name", SAVED)
def test_a_broken_off_file_is_found_by_its_ends_alone(tmp_path, name):
    whole = save(tmp_path / name)
    assert fault_of(whole) is fault_of(whole, whole=True) is None
    content = whole.read_bytes()
    for share in (0.02, 0.3, 0.7, 0.97):
        whole.write_bytes(content[: int(len(content) * share)])
        assert fault_of(whole) == fault_of(whole, whole=True) == failure(whole) is not None


def test_a_doubtful_end_is_no_fault(tmp_path):
    """What can be decoded all the same is read: a PNG file without its last piece, a JPEG file with film behind it."""
    png, jpeg = save(tmp_path / "a.png"), save(tmp_path / "a.jpg")
    png.write_bytes(png.read_bytes()[:-12])
    jpeg.write_bytes(jpeg.read_bytes() + bytes(1000))
    assert fault_of(png) is fault_of(jpeg) is failure(png) is failure(jpeg) is None


def test_damage_in_the_middle_takes_decoding(tmp_path):
    path = save(tmp_path / "a.png")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = bytes(50)
    path.write_bytes(content)
    assert fault_of(path) is None
    assert fault_of(path, whole=True) == failure(path) is not None


def test_what_people_have_in_their_folders(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    Image.fromarray(np.ones((4, 4), np.float32)).save(tmp_path / "float.tif")
    for name, reason in (
        ("empty.jpg", "the file is empty"),
        ("page.jpg", "it is no image, or one of an unknown format"),
        ("folder.jpg", "it is no file, but a folder or a device"),
        ("link.jpg", "it is a link to nothing"),
        ("missing.jpg", "it is missing"),
        ("loop.jpg", os.strerror(40) if os.name == "posix" else ""),
    ):
        assert fault_of(tmp_path / name) == fault_of(tmp_path / name, whole=True) == reason
    assert "floating-point numbers" in fault_of(tmp_path / "float.tif", whole=True)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a system without pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert fault_of(tmp_path / "pipe.jpg") == "it is no file, but a folder or a device"


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write_image(tmp_path / "a.png")

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    assert fault_of(path) == "Permission denied"


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_not_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100 * 80 // 3)
    assert "exceeds limit" in fault_of(path)


def test_the_first_picture_of_an_animation_counts(tmp_path):
    frames = [Image.new("P", (9, 7), colour) for colour in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert fault_of(tmp_path / "a.gif") is fault_of(tmp_path / "a.gif", whole=True) is None


def test_only_what_is_remarkable_is_reported(tmp_path):
    write_image(tmp_path / "whole.png")
    (tmp_path / "empty.png").touch()
    Image.fromarray(np.array([[0, 3000]], np.uint16)).save(tmp_path / "deep.png")
    paths = [str(tmp_path / name) for name in ("whole.png", "empty.png", "deep.png")]
    assert list(examine_all(paths).items()) == [
        (paths[1], Examined("the file is empty")),
        (paths[2], Examined(peak=3000)),
    ]
    assert examine(paths[2], whole=False) == Examined()


def _examine(rank: int, port: int, paths: list[str], results: dict) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results[rank] = list(examine_all(paths).items())
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not dist.is_available(), reason="torch without distributed")
def test_every_process_is_told_of_all(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(5)]
    for path in paths[:4]:
        Path(path).touch()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_examine, args=(port, paths, results), nprocs=2)
        found = dict(results)
    expected = [(path, Examined("the file is empty")) for path in paths[:4]] + [(paths[4], Examined("it is missing"))]
    assert found == {0: expected, 1: expected}
