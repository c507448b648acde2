"""From an image to its pixels as a tensor: JPEG files by torchvision's decoder where it gives Pillow's very pixels."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import get_worker_info

from dml.data import reading
from dml.data.formats import open_image
from dml.data.records import ImageRecords

JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


class Kind(NamedTuple):
    """A kind of JPEG files, all of which a decoder treats alike."""

    mode: str
    progressive: bool

    def __str__(self) -> str:
        words = ["progressive"] * self.progressive + [{"RGB": "colour", "L": "grey"}[self.mode]]
        return " ".join(words)


KINDS = tuple(Kind(mode, progressive) for mode in ("RGB", "L") for progressive in (False, True))


class DecoderWarning(UserWarning):
    """Images are decoded by the slower of two ways, to the same pixels."""


def pixels_of(records: ImageRecords, index: int) -> Tensor:
    """(3, H, W) uint8 of image ``index`` of ``records``: those of ``image_of``, channels last in memory.

    Raises:
        UnreadableImageError: see :func:`read_image`.
    """
    if records.cache is not None and (kept := records.cache.tensor_of(records.key(index))) is not None:
        return kept.permute(2, 0, 1)
    if type(records) is not ImageRecords:
        return tensor_of(reading.image_of(records, index))
    return read_pixels(records.paths[index], upright=records.upright, bits=records.bits)


def read_pixels(path: str | os.PathLike[str], *, upright: bool = False, bits: int | None = None) -> Tensor:
    """(3, H, W) uint8: those of ``read_image`` to the bit; in a loading process in less time, where the file is a JPEG.

    Whatever torchvision's decoder finds wrong with a file, or is not known to read as Pillow does, Pillow is asked. So
    it is in other processes, for that decoder writes what it thinks of damaged files to the standard error stream,
    which only a process that has no other use for it can do without meanwhile.

    Raises:
        UnreadableImageError: see :func:`read_image`.
    """
    if get_worker_info() is not None and str(path).lower().endswith(JPEG):
        try:
            pixels = jpeg_pixels(Path(path), upright=upright)
        except Exception:  # Pillow says what is wrong with it, if anything
            pixels = None
        if pixels is not None:
            return pixels
    return tensor_of(reading.read_image(path, upright=upright, bits=bits))


def tensor_of(image: Image.Image) -> Tensor:
    """(3, H, W) uint8 of an RGB image; channels last in memory, as it has them."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def jpeg_pixels(path: Path, *, upright: bool) -> Tensor | None:
    """The pixels of a JPEG file of one of ``exact_kinds``; None: of a file that is none, or that is to be turned.

    Raises:
        Exception: of any kind, for what is wrong with the file.
    """
    content = path.read_bytes()
    with open_image(io.BytesIO(content)) as image:
        kind = Kind(image.mode, "progressive" in image.info)
        if image.format != "JPEG" or kind not in exact_kinds() or image.info.get("adobe_transform", 1) != 1:
            return None
        if upright and reading.turn_of(image) is not None:
            return None
    with _silence():
        return _decode(content)


@contextmanager
def _silence() -> Iterator[None]:
    """Within it nothing that this process writes to its standard error stream is seen."""
    stream, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stream, 2)
        os.close(stream)
        os.close(nowhere)


def _decode(content: bytes) -> Tensor:
    from torchvision.io import ImageReadMode, decode_jpeg

    pixels = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.UNCHANGED)
    if len(pixels) == 1:
        return pixels[0, :, :, None].repeat(1, 1, 3).permute(2, 0, 1)
    return pixels


@cache
def exact_kinds() -> frozenset[Kind]:
    """The kinds of JPEG files that torchvision decodes to Pillow's pixels, found out with a few small ones.

    The two packages bring a library for it each, whose versions may differ.
    """
    noise = np.random.default_rng(0).integers(0, 256, (41, 51, 3), dtype=np.uint8)
    smooth = np.broadcast_to(np.linspace(0, 255, 51)[None, :, None] * [1, 0.5, 0.2], (41, 51, 3)).astype(np.uint8)
    images = [Image.fromarray(pixels) for pixels in (noise, smooth)]
    return frozenset(kind for kind in KINDS if all(_is_exact(image.convert(kind.mode), kind) for image in images))


def _is_exact(image: Image.Image, kind: Kind) -> bool:
    """Whether both decode ``image`` to the same, stored in every way that is common."""
    for quality in (50, 95):
        for subsampling in range(3) if kind.mode == "RGB" else (0,):
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=kind.progressive)
            try:
                ours = _decode(file.getvalue())
            except Exception:  # a torchvision without the decoder
                return False
            file.seek(0)
            with Image.open(file) as again:
                if not torch.equal(ours, tensor_of(again.convert("RGB"))):
                    return False
    return True


def warn_of_slow_jpeg(paths: Iterable[str]) -> None:
    """Say once that a kind of JPEG files takes longer than need be, if there are JPEG files among ``paths``.

    Loading processes that are forked afterwards know which kinds do.

    Warns:
        DecoderWarning: see there.
    """
    if any(path.lower().endswith(JPEG) for path in paths):
        _warn_once()


@cache
def _warn_once() -> None:
    slow = [str(kind) for kind in KINDS if kind not in exact_kinds()]
    if slow:
        warnings.warn(
            f"JPEG files ({', '.join(slow)}) are decoded by Pillow, for this torchvision does not give the same pixels",
            DecoderWarning,
            stacklevel=3,
        )
