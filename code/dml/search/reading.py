"""From the files of photographs to what an index keeps of them, each read once."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from dml.data.reading import DAMAGE, reason_of
from dml.errors import UserError
from dml.search.items import NewItem, Photograph, digest_of_file

THUMBNAIL = 256  # pixels of the longer side
_QUALITY = 80


class Read(NamedTuple):
    """Photographs that were read.

    Attributes:
        items: those that could be,
        images: (n, 3, S, S), as the network takes them.
        faults: path and reason of the others.
    """

    items: list[NewItem]
    images: Tensor
    faults: list[tuple[str, str]]


class Reader:
    """Reads photographs, several at a time.

    Args:
        read: path → 8-bit RGB; raises UserError or any of ``DAMAGE``.
        transform: from that to the (3, S, S) float32 that the network takes.
        threads: files that are decoded at a time.
    """

    def __init__(
        self, read: Callable[[str], Image.Image], transform: Callable[[Image.Image], Tensor], *, threads: int = 4
    ):
        self.read, self.transform = read, transform
        self._pool = ThreadPool(threads)

    def __call__(self, photographs: Sequence[Photograph]) -> Read:
        """Read them all; those that cannot be read are told of."""
        found = self._pool.map(self._one, photographs)
        faults = [(photograph.path, one) for photograph, one in zip(photographs, found, strict=True) if _failed(one)]
        good = [one for one in found if not _failed(one)]
        images = torch.stack([image for _, image in good]) if good else torch.empty(0)
        return Read([item for item, _ in good], images, faults)

    def close(self) -> None:
        """End the threads."""
        self._pool.terminate()

    def _one(self, photograph: Photograph) -> tuple[NewItem, Tensor] | str:
        try:
            stat = Path(photograph.path).stat()
            digest = digest_of_file(photograph.path)
            image = self.read(photograph.path)
            item = NewItem(
                photograph.path, photograph.label, stat.st_size, stat.st_mtime_ns, digest, thumbnail_of(image)
            )
            return item, self.transform(image)
        except UserError as error:
            cause = error.__cause__
            return reason_of(cause) if isinstance(cause, DAMAGE) else str(error)
        except DAMAGE as error:
            return reason_of(error)


def thumbnail_of(image: Image.Image) -> bytes:
    """JPEG of at most ``THUMBNAIL`` pixels each way, without what the file said beside its pixels."""
    return jpeg_of(image, side=THUMBNAIL, quality=_QUALITY)


def jpeg_of(image: Image.Image, *, side: int, quality: int = 90) -> bytes:
    """JPEG of an RGB image, made no larger than ``side`` pixels each way."""
    small = image.copy()
    small.thumbnail((side, side), reducing_gap=3.0)
    small.info.clear()
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _failed(one: object) -> bool:
    return isinstance(one, str)
