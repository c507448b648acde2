"""``--cache-images``: the data of a run whose images are decoded once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import PIL
from tqdm import tqdm

from dml.config import DataConfig
from dml.data.image_cache import ImageCache, gigabytes, in_memory, measured, opened, outdated, total_bytes, write
from dml.data.memory import free_memory
from dml.data.records import ImageKey, ImageRecords, PixelRecords
from dml.errors import UserError
from dml.places import expanded, from_home
from dml.writing import require_space

Data = TypeVar("Data")  # a dataclass whose fields hold image records

MOST = 0.75  # of the memory that is free


def with_kept_images(data: Data, config: DataConfig) -> Data:
    """``data`` whose images are read from a cache that holds all of them, as ``--cache-images`` asks.

    The first time that costs as much as to load every image once. Images that cannot be read are not in it: whoever
    loads one is told, as ever. Those that are in memory anyhow stay as they are.

    Raises:
        UserError: there is no room for them; the message says how much they need.
    """
    if config.cache_images == "none":
        return data
    parts = {field.name: getattr(data, field.name) for field in fields(data) if field.name != "unused"}
    files = {name: part for name, part in parts.items() if _is_of_files(part)}
    keys = list(dict.fromkeys(part.key(index) for part in files.values() for index in range(len(part))))
    if not keys:
        return data
    if config.cache_images == "memory":
        cache = _in_memory(keys, workers=config.workers)
    else:
        cache = _on_disk(keys, cache_folder(), _file_name(config))
    return replace(data, **{name: replace(part, cache=cache) for name, part in files.items()})


def cache_folder() -> Path:
    """Where the files of ``--cache-images disk`` are."""
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "dml" / "images"


def _is_of_files(part: object) -> bool:
    return isinstance(part, ImageRecords) and not isinstance(part, PixelRecords)


def _in_memory(keys: Sequence[ImageKey], *, workers: int) -> ImageCache:
    if workers and multiprocessing.get_start_method() != "fork":
        raise UserError(
            "--cache-images memory is shared with processes that load images by forking them, which this system does"
            " not do: give --cache-images disk, or --workers 0"
        )
    from dml.processes import world_size  # here, and below, for torch takes long to import

    quiet = _is_quiet()
    images = measured(keys, quiet=quiet)
    processes = int(os.environ.get("LOCAL_WORLD_SIZE") or world_size())
    needed, free = processes * total_bytes(images), free_memory()
    each = "" if processes == 1 else f" in {processes} processes together"
    if free is not None and needed > MOST * free:
        raise UserError(
            f"--cache-images memory: {len(keys):,} decoded images need {gigabytes(needed)}{each}, and {MOST:.0%} of the"
            f" memory that is free is {gigabytes(int(MOST * free))}: --cache-images disk keeps them in a file"
        )
    _tell(f"decoding {len(keys):,} images into memory: {gigabytes(needed)}{each}")
    return in_memory(images, quiet=quiet)


def _on_disk(keys: Sequence[ImageKey], folder: Path, name: str) -> ImageCache:
    """The cache in a file, which the first of several processes writes while the others wait."""
    file = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder / f".{name}.lock", file):
            old = opened(file)
            missing, changed = (len(keys), 0) if old is None else outdated(old, keys)
            if old is not None and not missing and not changed:
                return old
            for leftover in folder.glob(f".{name}.*.tmp"):  # of a process that was killed
                leftover.unlink(missing_ok=True)
            images = measured(keys, quiet=_is_quiet())
            size = total_bytes(images)
            require_space(folder, size, UserError, what=f"--cache-images disk ({len(keys):,} decoded images)")
            since = "" if old is None else f" ({missing:,} are new, {changed:,} have changed)"
            _tell(f"decoding {len(keys):,} images into {file}{since}: {gigabytes(size)}")
            write(images, file, old, quiet=_is_quiet())
            cache = opened(file)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"--cache-images disk: cannot write {error.filename or file}: {error.strerror}") from error
    assert cache is not None  # it was just written
    return cache


def _file_name(config: DataConfig) -> str:
    """One file for the images of a place, as what is installed decodes them."""
    place = from_home(config.data_dir).absolute()
    digest = hashlib.sha256(repr((os.fspath(place), config.dataset, *_versions())).encode(errors="surrogateescape"))
    return f"{config.name}-{digest.hexdigest()[:12]}.images"


def _versions() -> tuple[str | None, ...]:
    try:
        return PIL.__version__, importlib.metadata.version("pillow_heif")
    except importlib.metadata.PackageNotFoundError:
        return PIL.__version__, None


@contextmanager
def _alone(lock: Path, file: Path) -> Iterator[None]:
    """No other process is within the block for the same ``lock``, where the system and the file system have locks."""
    with lock.open("w") as held:
        try:
            import fcntl

            try:
                fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                _tell(f"another process is decoding images into {file}, waiting for it")
                fcntl.lockf(held, fcntl.LOCK_EX)
        except (ImportError, OSError):  # Windows; some network file systems
            pass
        yield


def _tell(text: str) -> None:
    if not _is_quiet():
        tqdm.write(f"--cache-images: {text}")


def _is_quiet() -> bool:
    """Whether another process of the run tells people."""
    from dml.processes import rank

    return rank() > 0
