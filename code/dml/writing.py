"""Writing files: where there is room, whole or not at all, and with errors that say which file it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dml.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Within it ``path`` is written; the system's error of a full disk does not name the file by itself.

    Raises:
        OSError: naming ``path``: no room on the disk, no right to write.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save ends a failed write with a RuntimeError about positions, and the reason behind it.
        reason = error if isinstance(error, OSError) else error.__context__
        if not isinstance(reason, OSError) or isinstance(reason, UserError) or reason.errno is None:
            raise
        raise OSError(reason.errno, reason.strerror, str(path)) from error


def require_space(folder: Path, needed: int, error: type[UserError], *, what: str) -> None:
    """Refuse to begin what the disk of ``folder`` has no room for: ``needed`` bytes for ``what``.

    Raises:
        UserError: of the class ``error``, with both numbers.
        OSError: no such folder.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise error(f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed for {what}")


def save_figure(figure: Figure, path: Path | str) -> None:
    """Write a picture as a .png of the resolution that all of them have; see ``naming``."""
    with naming(path):
        figure.savefig(path, dpi=130)


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of ``path`` when the block has ended well and is gone otherwise.

    At any moment the old file or the whole new one is there.

    Raises:
        OSError: naming ``path``: no room on the disk, no right to write.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path):
            with temporary.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_atomically(state: dict[str, Any], path: Path) -> None:
    """Write ``state`` as torch does; see ``replacing``."""
    import torch

    with replacing(path) as file:
        torch.save(state, file)


def write_text_atomically(text: str, path: Path) -> None:
    """The same for a text file, in UTF-8, but for the names of files that are no text: those are kept byte for byte."""
    with replacing(path) as file:
        file.write(text.encode(errors="surrogateescape"))


def cut_off_rest(file: Path) -> None:
    """Cut off a last line that is not complete, of a file of lines that was being written when a machine went down."""
    with file.open("rb") as opened:
        if not opened.seek(0, os.SEEK_END):
            return
        opened.seek(-1, os.SEEK_END)
        if opened.read(1) == b"\n":
            return
    os.truncate(file, file.read_bytes().rfind(b"\n") + 1)


def locked(path: Path, *, wait: bool = True) -> IO:
    """Hold the lock of a file, which is made, until the returned file is closed or the process ends, however it ends.

    A record lock: it holds between machines where their file system has locks (NFS from version 4 on, Lustre mounted
    with ``flock``), other processes that this one starts do not inherit it, and within one process it locks nothing.

    Args:
        wait: until another process lets it go.

    Raises:
        BlockingIOError: another process holds it, and ``wait`` is False.
        OSError: the file system has no locks.
    """
    import fcntl

    file = path.open("a")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError | PermissionError):
            raise BlockingIOError(error.errno, error.strerror, str(path)) from error
        raise
    return file


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary files that a killed process left in ``folder``."""
    for file in folder.glob(".*.tmp"):
        file.unlink(missing_ok=True)
