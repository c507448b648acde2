"""Fetching one large file over an unreliable line."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from tqdm import tqdm

CHUNK = 1 << 20  # bytes
TIMEOUT = 60.0  # seconds without a byte
RETRIES = 4  # without progress in between
PAUSE = 2.0  # seconds before the first retry, doubled each time

BROKEN_LINE = (ConnectionError, TimeoutError, ssl.SSLError)


class DownloadError(OSError):
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

    The bytes go to ``<target>.part``, which a later call continues where the server allows it (HTTP Range)
    and starts anew where it does not; renamed to ``target`` when complete and right. A broken connection is
    tried again up to RETRIES times in a row. A ``target`` that is there already and right is left alone.

    Args:
        md5: the expected hash in hexadecimal; None: not checked.
        pause: seconds before the first retry.

    Raises:
        DownloadError: no such file, no connection, no space, or a wrong hash (the part file is removed then).
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https", "ftp"):
        raise DownloadError(f"cannot download {url!r}: give an http, https or ftp address")
    if target.is_file() and (md5 is None or md5_of(target) == md5):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    _fetch_with_retries(url, part, pause)
    if md5 is not None and (found := md5_of(part)) != md5:
        part.unlink()
        raise DownloadError(
            f"{url}: MD5 is {found}, expected {md5}. The download was removed; run the command again, "
            f"or take another mirror with --url"
        )
    return part.replace(target)


def _fetch_with_retries(url: str, part: Path, pause: float) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            return _fetch_rest(url, part)
        except urllib.error.HTTPError as error:
            if error.code < 500:  # it will not get better by asking again
                raise DownloadError(f"{url}: the server answers {error.code} {error.reason}") from error
            reason = f"the server answers {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, *BROKEN_LINE) as error:
            reason = str(error)
        failures = 1 if _size(part) > before else failures + 1
        if failures > RETRIES:
            raise DownloadError(f"{url}: {reason}. {_size(part):,} bytes have come; run the command again to go on")
        wait = pause * 2 ** (failures - 1)
        tqdm.write(f"{part.name}: {reason}; trying again in {wait:.0f} s")
        time.sleep(wait)


def _fetch_rest(url: str, part: Path) -> None:
    """Append to ``part`` what is missing; a connection that ends early is a ConnectionError."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies beyond what we have: complete, unless the file is another one by now.
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total == str(have):
            return
        part.unlink()
        raise ConnectionError("the part file does not fit the file on the server") from error
    with response:
        resumed = response.status == 206  # None for ftp
        if resumed and not (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-"):
            raise ConnectionError("the server sent another range than asked for")
        have = have if resumed else 0  # a server that ignores Range sends the file from its beginning
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _require_space(part.parent, 0 if total is None else total - have)
        _write(response, part, have, total)


def _write(response: http.client.HTTPResponse, part: Path, have: int, total: int | None) -> None:
    bar = tqdm(
        total=total,
        initial=have,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        desc=part.name[: -len(".part")],
    )
    with bar, part.open("ab" if have else "wb") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and _size(part) != total:
        raise ConnectionError(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DownloadError(f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed")
