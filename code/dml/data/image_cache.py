"""Decoded images that are kept (``--cache-images``): in memory that all loading processes share, or in a file."""

from __future__ import annotations

import json
import math
import mmap
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dml.data.formats import open_image
from dml.data.readable import in_threads
from dml.data.reading import DAMAGE, UnreadableImageError
from dml.data.records import ImageKey
from dml.writing import replacing

if TYPE_CHECKING:
    from torch import Tensor

_END = struct.Struct("<8sQ")  # of a file: this word, and where its index begins
_WORD = b"dmlpix01"


class Kept(NamedTuple):
    """What is known of an image file, and where its pixels are.

    Attributes:
        size: bytes of the file; -1: there is none.
        changed: when it was last written to, in nanoseconds.
        offset: of its first byte among all pixels.
        height, width: of the decoded image, turned upright if that was asked for; 0: it is not kept.
    """

    size: int
    changed: int
    offset: int = 0
    height: int = 0
    width: int = 0

    @property
    def num_bytes(self) -> int:
        return 3 * self.height * self.width

    def is_of(self, other: Kept) -> bool:
        """Whether it is of the same file, unchanged."""
        return (self.size, self.changed) == (other.size, other.changed)


class ImageCache:
    """The pixels of many images, one behind the other.

    Args:
        pixels: (bytes,) uint8.
        images: which are there.
        file: where ``pixels`` is mapped from; None: they are in memory, which forked processes share.
    """

    def __init__(self, pixels: np.ndarray, images: Mapping[ImageKey, Kept], file: Path | None = None):
        self.pixels, self.images, self.file = pixels, images, file

    def __reduce__(self) -> tuple[Callable, tuple]:
        if self.file is None:
            raise TypeError("images in memory are shared with forked processes alone")
        return opened, (self.file,)

    def array_of(self, key: ImageKey) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB, not to be written to; None: it is not kept."""
        place = self._place(key)
        return None if place is None else self.pixels[place[0]].reshape(place[1])

    def tensor_of(self, key: ImageKey) -> Tensor | None:
        """The same as a tensor, of the same memory."""
        place = self._place(key)
        return None if place is None else self._tensor[place[0]].view(place[1])

    def _place(self, key: ImageKey) -> tuple[slice, tuple[int, int, int]] | None:
        kept = self.images.get(key)
        if kept is None or not kept.height:
            return None
        return slice(kept.offset, kept.offset + kept.num_bytes), (kept.height, kept.width, 3)

    @cached_property
    def _tensor(self) -> Tensor:
        import torch

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(self.pixels)


def measured(keys: Sequence[ImageKey], *, quiet: bool = False) -> dict[ImageKey, Kept]:
    """Of every image file what its first bytes say, its pixels to be laid one behind the other.

    Args:
        quiet: without a progress bar.
    """
    found, offset = {}, 0
    for key, kept in zip(keys, in_threads(_measure, keys, "sizes", quiet=quiet), strict=True):
        found[key] = kept._replace(offset=offset)
        offset += kept.num_bytes
    return found


def state_of(key: ImageKey) -> Kept:
    """Of an image file what the file system knows."""
    try:
        status = os.stat(key.path)  # noqa: PTH116 (of hundreds of thousands)
    except OSError:
        return Kept(-1, 0)
    return Kept(status.st_size, status.st_mtime_ns)


def total_bytes(images: Mapping[ImageKey, Kept]) -> int:
    """Of all pixels."""
    return sum(kept.num_bytes for kept in images.values())


def in_memory(images: Mapping[ImageKey, Kept], *, quiet: bool = False) -> ImageCache:
    """Decode what was ``measured``, into memory that processes which are forked afterwards share.

    Args:
        quiet: without a progress bar.
    """
    buffer = mmap.mmap(-1, max(1, total_bytes(images)))
    pixels = np.frombuffer(buffer, dtype=np.uint8)

    def put(offset: int, image: np.ndarray) -> None:
        pixels[offset : offset + image.size] = image.reshape(-1)

    return ImageCache(pixels, _decoded(images, put, None, quiet=quiet))


def write(images: Mapping[ImageKey, Kept], file: Path, old: ImageCache | None, *, quiet: bool = False) -> None:
    """Decode what was ``measured`` into ``file``, which takes its place when it is whole.

    Args:
        old: what is there already of files that have not changed is taken from there.
        quiet: without a progress bar.

    Raises:
        OSError: naming ``file``.
    """
    with replacing(file) as out:
        one_at_a_time = threading.Lock()

        def put(offset: int, image: np.ndarray) -> None:
            with one_at_a_time:
                out.seek(offset)
                out.write(image.reshape(-1).data)

        done = _decoded(images, put, old, quiet=quiet)
        start = total_bytes(images)
        out.seek(start)
        out.write(json.dumps([[*key, *kept] for key, kept in done.items()]).encode())
        out.write(_END.pack(_WORD, start))


def opened(file: Path) -> ImageCache | None:
    """What ``write`` left in ``file``; None: there is none, or it is damaged."""
    try:
        with file.open("rb") as lines:
            lines.seek(-_END.size, os.SEEK_END)
            end = lines.tell()
            word, start = _END.unpack(lines.read())
            if word != _WORD:
                return None
            lines.seek(start)
            rows = json.loads(lines.read(end - start))
        images = {ImageKey(*row[:3]): Kept(*row[3:]) for row in rows}
        if any(kept.offset + kept.num_bytes > start for kept in images.values()):
            return None
        pixels = np.memmap(file, np.uint8, mode="r", shape=(start,)) if start else np.empty(0, np.uint8)
    except (OSError, ValueError, TypeError, OverflowError, struct.error):
        return None
    return ImageCache(pixels, images, file)


def _measure(key: ImageKey) -> Kept:
    state = state_of(key)
    try:
        with Path(key.path).open("rb") as file, open_image(file) as image:
            width, height = image.size
    except DAMAGE:  # whoever loads it is told
        return state
    return state._replace(height=height, width=width)


def _decoded(
    images: Mapping[ImageKey, Kept], put: Callable[[int, np.ndarray], None], old: ImageCache | None, *, quiet: bool
) -> dict[ImageKey, Kept]:
    """What is kept of ``images`` after ``put`` was given the place and the pixels of each."""
    decode = partial(_decode_one, put=put, old=old)
    return dict(in_threads(decode, list(images.items()), "images decoded", quiet=quiet))


def _decode_one(
    image: tuple[ImageKey, Kept], *, put: Callable[[int, np.ndarray], None], old: ImageCache | None
) -> tuple[ImageKey, Kept]:
    key, kept = image
    if not kept.height:
        return key, kept
    pixels = None
    if old is not None and key in old.images and old.images[key].is_of(kept):
        pixels = old.array_of(key)
    if pixels is None:
        pixels = _pixels(key)
    if pixels is None or pixels.size != kept.num_bytes:
        return key, kept._replace(height=0, width=0)
    put(kept.offset, pixels)
    return key, kept._replace(height=pixels.shape[0], width=pixels.shape[1])


def _pixels(key: ImageKey) -> np.ndarray | None:
    from dml.data.decoding import read_pixels

    try:
        pixels = read_pixels(key.path, upright=key.upright, bits=key.bits)
    except UnreadableImageError:  # as above
        return None
    return np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())


def outdated(cache: ImageCache, keys: Iterable[ImageKey]) -> tuple[int, int]:
    """Of how many of the images ``cache`` knows nothing, and how many have changed since."""
    missing = changed = 0
    for key in keys:
        kept = cache.images.get(key)
        missing += kept is None
        changed += kept is not None and not kept.is_of(state_of(key))
    return missing, changed


def gigabytes(number: int) -> str:
    """A size in words, rounded up."""
    return f"{math.ceil(number / 1e8) / 10:.1f} GB"
