"""Fetching one large file over an unreliable line."""

from __future__ import annotations

import ftplib
import hashlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from dml.data.remote import CHUNK, AddressError, ChangedError, Remote, Version, open_remote, require_address
from dml.errors import UserError
from dml.writing import require_space

RETRIES = 4  # without progress in between
PAUSE = 2.0  # seconds before the first retry, doubled each time

BUSY = (408, 425, 429)  # HTTP statuses below 500 after which asking again helps
LINE_ERRORS = (OSError, http.client.HTTPException, ftplib.Error, EOFError)


class DownloadError(UserError, OSError):
    """A file that could not be fetched or is not the one expected; the message says which and what to do."""


def md5_of(path: Path) -> str:
    """The file's MD5 in hexadecimal. It tells a damaged file from a sound one, not a forged one."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(url: str, target: Path, *, md5: str | None = None, pause: float = PAUSE) -> Path:
    """Download ``url`` to ``target`` and return it.

    The bytes go to ``<target>.part``, which a later call continues where the server allows it (Range of HTTP, REST of
    FTP) and the file there is still the same, and starts anew otherwise; renamed to ``target`` when complete and
    right. A broken connection is tried again up to RETRIES times in a row. A ``target`` that is there already and
    right is left alone.

    Args:
        md5: the expected hash in hexadecimal; None: not checked.
        pause: seconds before the first retry.

    Raises:
        DownloadError: no address, no such file, no connection, no space, no folder that can be written to, or a wrong
            hash (the part file is removed then).
    """
    try:
        require_address(url)
    except AddressError as error:
        raise DownloadError(f"cannot download {url!r}: {error}") from error
    with _on_disk(target):
        if target.is_file() and (md5 is None or md5_of(target) == md5):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    _fetch_with_retries(url, part, pause)
    if md5 is not None and (found := md5_of(part.path)) != md5:
        part.remove()
        raise DownloadError(
            f"{url}: MD5 is {found}, expected {md5}. The download was removed; run the command again, "
            f"or take another mirror with --url"
        )
    return part.complete()


class _Part:
    """What has come of the file ``target``: ``<target>.part``, and beside it of which version of the file it is."""

    def __init__(self, target: Path):
        self.target = target
        self.path = target.with_name(target.name + ".part")
        self._note = target.with_name(target.name + ".part.version")

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size if self.path.is_file() else 0

    @property
    def version(self) -> Version:
        """Of the file that the bytes are of, as far as it is known."""
        try:
            return Version(*json.loads(self._note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Version()

    def begin(self, remote: Remote) -> None:
        """Make ready for the bytes of ``remote``."""
        with _on_disk(self.path):
            if not remote.start:
                self.path.write_bytes(b"")
            self._note.write_text(json.dumps(remote.version), encoding="utf-8")

    def append(self, content: bytes) -> None:
        """Add what has come."""
        with _on_disk(self.path), self.path.open("ab") as file:
            file.write(content)

    def remove(self) -> None:
        """Forget what has come."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def complete(self) -> Path:
        """Give the file its name."""
        self._note.unlink(missing_ok=True)
        return self.path.replace(self.target)


def _fetch_with_retries(url: str, part: _Part, pause: float) -> None:
    failures = 0
    while True:
        before = part.size
        try:
            return _fetch_rest(url, part)
        except DownloadError:
            raise
        except LINE_ERRORS as error:
            reason = _reason(error)
            if not _may_pass(error):
                raise DownloadError(f"{url}: {reason}") from error
        failures = 1 if part.size > before else failures + 1
        if failures > RETRIES:
            raise DownloadError(f"{url}: {reason}. {part.size:,} bytes have come; run the command again to go on")
        wait = pause * 2 ** (failures - 1)
        tqdm.write(f"{part.path.name}: {reason}; trying again in {wait:.0f} s")
        time.sleep(wait)


def _fetch_rest(url: str, part: _Part) -> None:
    """Add what is missing to ``part``; a connection that ends early is a ConnectionError."""
    have = part.size
    try:
        with open_remote(url, have, part.version) as remote:
            if remote.start < have:
                changed = remote.version.differs(part.version)
                why = "the file there has changed" if changed else "the server sends the file as a whole only"
                tqdm.write(f"{part.path.name}: {why}, so it begins again")
            total = remote.version.total
            missing = 0 if total is None else total - remote.start
            with _on_disk(part.path.parent):
                require_space(part.path.parent, missing, DownloadError, what=part.target.name)
            part.begin(remote)
            with _progress_bar(part.target.name, remote) as bar:
                while chunk := remote.read():
                    part.append(chunk)
                    bar.update(len(chunk))
    except ChangedError:
        part.remove()
        raise
    if total is not None and part.size != total:
        raise ConnectionError(f"the connection ended after {part.size:,} of {total:,} bytes")


def _progress_bar(name: str, remote: Remote) -> tqdm:
    return tqdm(
        total=remote.version.total,
        initial=remote.start,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc=name,
    )


def _reason(error: Exception) -> str:
    """What went wrong on the line, in words."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, ftplib.Error):
        return f"the server answers {error}"
    if isinstance(error, EOFError):  # the word of ftplib
        return "the server has closed the connection"
    return str(getattr(error, "reason", error)) or type(error).__name__


def _may_pass(error: Exception) -> bool:
    """Whether asking again may help."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code in BUSY
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    unknown_host = isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME
    return not unknown_host and not isinstance(
        cause, ssl.SSLCertVerificationError | http.client.InvalidURL | ftplib.error_perm
    )


@contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """What the disk refuses within is a DownloadError, not a fault of the line."""
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"cannot write {error.filename or path}: {error.strerror or error}. What has come is kept; run the command"
            " again to go on"
        ) from error
