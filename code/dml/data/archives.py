"""Unpacking archives that nobody vouches for."""

from __future__ import annotations

import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

from tqdm import tqdm

from dml.errors import UserError
from dml.writing import require_space

# What readers and decompressors say of damage; RuntimeError is zipfile's word for a missing password, OSError that of
# gzip, and of the disk that is written to.
UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, RuntimeError, ValueError),
)


class ArchiveError(UserError, OSError):
    """An archive that is damaged, locked or unsafe to unpack; the message names it and the member."""


def extract(archive: Path, folder: Path) -> None:
    """Unpack a tar or zip file into ``folder``; files there already are overwritten.

    Only plain files and folders inside ``folder`` are accepted: one absolute path, one ``..``, one link or
    device among the members, and nothing is unpacked.

    Raises:
        ArchiveError: for these, for a damaged or encrypted archive, or if ``folder`` cannot be written to or has not
            space enough.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if tarfile.is_tarfile(archive):
            _extract_tar(archive, folder)
        else:
            _extract_zip(archive, folder)
    except ArchiveError:
        raise
    except UNREADABLE as error:
        raise ArchiveError(f"cannot unpack {archive}: {error}") from error


def _extract_tar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        # Python 3.10 has no filters before its twelfth update; the checks below do not need them.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
        members = tar.getmembers()
        for member in members:
            _require_plain(archive, member.name, member.isfile() or member.isdir())
        require_space(folder, sum(member.size for member in members), ArchiveError, what=str(archive))
        for member in tqdm(members, desc=f"unpacking {archive.name}", unit=" files"):
            tar.extract(member, folder)


def _extract_zip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        members = zipped.infolist()
        for member in members:
            kind = stat.S_IFMT(member.external_attr >> 16)  # 0: written by a system without such kinds
            _require_plain(archive, member.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
        require_space(folder, sum(member.file_size for member in members), ArchiveError, what=str(archive))
        for member in tqdm(members, desc=f"unpacking {archive.name}", unit=" files"):
            zipped.extract(member, folder)


def _require_plain(archive: Path, name: str, is_plain: bool) -> None:
    paths = (PurePosixPath(name), PureWindowsPath(name))
    if any(path.is_absolute() or path.drive or path.root or ".." in path.parts for path in paths):
        raise ArchiveError(f"{archive} is unsafe: its member {name!r} leaves the folder. Nothing was unpacked")
    if not is_plain:
        raise ArchiveError(f"{archive} is unsafe: its member {name!r} is a link or device. Nothing was unpacked")
