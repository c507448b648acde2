"""Which image files can be read, found out before they are needed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile
from tqdm import tqdm

from dml.data.depth import is_deep, numbers_of, peak_of, stated_white
from dml.data.formats import open_image
from dml.data.reading import DAMAGE, reason_of, to_rgb

Item, Result = TypeVar("Item"), TypeVar("Result")

MANY = 10_000  # images that take long enough for a word
_TAIL = 64  # bytes: what some programs leave behind the end of an image is shorter
_STRIPS, _TILES = (273, 279), (324, 325)  # tags of TIFF: where the pixels are, and how many bytes


class Examined(NamedTuple):
    """What is known of a file.

    Attributes:
        fault: why it cannot be read; None: it can.
        peak: the largest number, 0..65535, of a decoded image of more than 8 bits whose file does not state which one
            is white; None: of any other.
    """

    fault: str | None = None
    peak: int | None = None


def fault_of(path: str | os.PathLike[str], *, whole: bool = False) -> str | None:
    """Why the image file at ``path`` cannot be read, without its name; None: it can, as far as was looked.

    Args:
        whole: see ``examine``.
    """
    return examine(path, whole=whole).fault


def examine(path: str | os.PathLike[str], *, whole: bool) -> Examined:
    """Look at an image file.

    A file that fails is one that ``read_image`` fails at, for one of which anything is doubtful is decoded.

    Args:
        whole: decode it; JPEG to an eighth of its width and height, which meets the same damage in half of the time.
            False: look at the first and the last bytes alone, which a copy or a download that broke off leaves wrong.
    """
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):  # to open a pipe is to wait for who writes to it
            return Examined("it is no file, but a folder or a device")
        with Path(path).open("rb") as file, open_image(file) as image:
            return _decode(image, file) if whole or not _has_its_end(image, file) else Examined()
    except FileNotFoundError:
        return Examined("it is a link to nothing" if Path(path).is_symlink() else "it is missing")
    except DAMAGE as error:
        return Examined(reason_of(error))


def peaks_of(paths: Sequence[str | os.PathLike[str]]) -> list[int]:
    """``Examined.peak`` of those files that have one; no other file is decoded, and one that cannot be read has none.

    In threads where there are several.
    """
    peaks = in_threads(_peak_in, paths, "images", quiet=True) if len(paths) > 1 else [_peak_in(path) for path in paths]
    return [peak for peak in peaks if peak is not None]


def _peak_in(path: str | os.PathLike[str]) -> int | None:
    try:
        with Path(path).open("rb") as file, open_image(file) as image:
            return _decode(image, file).peak if _is_unscaled(image) else None
    except DAMAGE:
        return None


def examine_all(paths: Sequence[str]) -> dict[str, Examined]:
    """Decode all files: path → what is remarkable about it, a fault or a peak, in the order of ``paths``.

    In threads, with a progress bar. Several processes share the files, and each is told of all. Costs less than to load
    the images once for an epoch.
    """
    rank, processes = 0, 1
    import torch.distributed  # here, for a report reads what a run left out and does without torch

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank, processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    if len(paths) >= MANY and rank == 0:
        tqdm.write(f"Looking for unreadable ones among {len(paths):,} images: less work than to read them in an epoch")
    mine = paths[rank::processes]
    results = in_threads(partial(examine, whole=True), mine, "images", quiet=rank > 0)
    found = {path: result for path, result in zip(mine, results, strict=True) if result != Examined()}
    if processes > 1:
        shares: list[dict[str, Examined]] = [{} for _ in range(processes)]
        torch.distributed.all_gather_object(shares, found)
        found = {path: result for share in shares for path, result in share.items()}
    return {path: found[path] for path in paths if path in found}


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], unit: str, *, quiet: bool = False
) -> list[Result]:
    """``[function(item) for item in items]``, with a progress bar where a person looks on."""
    threads = min(16, max(4, os.cpu_count() or 1))  # each holds an image
    with ThreadPool(threads) as pool:
        results = pool.imap(function, items, chunksize=8)
        return list(tqdm(results, total=len(items), unit=f" {unit}", leave=False, disable=True if quiet else None))


def _is_unscaled(image: Image.Image) -> bool:
    """Whether an image that is opened, but not loaded, has more than 8 bits and does not state how many."""
    return is_deep(image) and stated_white(image) is None


def _decode(image: Image.Image, file: IO[bytes]) -> Examined:
    """Read all of an opened image. Any of ``DAMAGE``."""
    is_unscaled = _is_unscaled(image)
    image.draft(None, (1, 1))  # of JPEG alone
    to_rgb(image, file)
    return Examined(peak=peak_of(numbers_of(image, file)) if is_unscaled else None)


def _has_its_end(image: Image.Image, file: IO[bytes]) -> bool:
    """Whether the file of an opened image ends as one of its format does; False: it does not, or who knows."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read()
    if image.format in ("JPEG", "MPO"):
        return b"\xff\xd9" in tail
    if image.format == "PNG":
        return b"IEND" in tail
    if image.format == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    if image.format == "WEBP":
        return _riff_size(file) <= size
    if image.format in ("AVIF", "HEIF"):
        return _boxes_fill(file, size)
    if isinstance(image, TiffImageFile):
        parts = [zip(*(image.tag_v2.get(tag, ()) for tag in tags), strict=False) for tags in (_STRIPS, _TILES)]
        ends = [start + length for part in parts for start, length in part]
        return bool(ends) and max(ends) <= size
    return False


def _riff_size(file: IO[bytes]) -> int:
    """Bytes that a RIFF file says it has."""
    file.seek(4)
    return 8 + int.from_bytes(file.read(4), "little")


def _boxes_fill(file: IO[bytes], size: int) -> bool:
    """Whether the boxes of an ISO media file (ISO/IEC 14496-12) end where the file of ``size`` bytes does."""
    place = 0
    while place < size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length == 0:  # to the end
            return True
        if length < 8:
            return False
        place += length
    return place == size
