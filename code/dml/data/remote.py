"""A file on a server, opened from any byte on: over HTTP by Range, over FTP by REST."""

from __future__ import annotations

import ftplib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from socket import socket
from typing import NamedTuple

from dml.errors import UserError

CHUNK = 1 << 20  # bytes
TIMEOUT = 60.0  # seconds without a byte
SCHEMES = ("http", "https", "ftp")
WITHOUT_REST = ("500", "501", "502", "504")  # a server's answers to a command that it does not know


class AddressError(UserError):
    """An address that no request can be made of; the message says what is wrong with it."""


class ChangedError(ConnectionError):
    """The file is another one than that of which a part has come."""


class Version(NamedTuple):
    """What tells a file from a later one at the same address.

    Attributes:
        mark: the server's own word for it (ETag, time of change); None: it gives none.
        total: bytes; None: unknown.
    """

    mark: str | None = None
    total: int | None = None

    def differs(self, other: Version) -> bool:
        """Whether something that both know is not the same."""
        return any(None not in pair and pair[0] != pair[1] for pair in zip(self, other, strict=True))


@dataclass(frozen=True)
class Remote:
    """A file that is being received.

    Attributes:
        read: the next bytes of it, at most CHUNK; none at its end, which may also be that of the connection.
        start: the byte that comes first; 0 where the server sends files as a whole only.
        version: of which file.
    """

    read: Callable[[], bytes]
    start: int
    version: Version


def require_address(url: str) -> None:
    """Refuse what is no address before anything is asked of a server. AddressError."""
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018 (raises if it is no number)
    except ValueError as error:
        raise AddressError(str(error)) from error
    if parts.scheme not in SCHEMES:
        raise AddressError("give an http, https or ftp address")
    if not parts.hostname:
        raise AddressError("it names no host")
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise AddressError("it has a blank or a letter that addresses do not have; write it as %20, say")
    if any(character in urllib.parse.unquote(url) for character in "\r\n\0"):
        raise AddressError("it has a line break")


@contextmanager
def open_remote(url: str, start: int, known: Version) -> Iterator[Remote]:
    """Open ``url`` from the byte ``start`` on, or from 0 where the server cannot.

    Args:
        known: the version that the first ``start`` bytes are of, as far as that is known.

    Raises:
        ChangedError: what lies on the server now is not ``known``, or is shorter than ``start``.
        OSError, http.client.HTTPException, ftplib.Error: see there.
    """
    opened = _open_ftp if _is_ftp_itself(url) else _open_http
    with opened(url, start, known) as remote:
        yield remote


def _is_ftp_itself(url: str) -> bool:
    """Whether to speak FTP: a proxy for it is spoken to by HTTP."""
    parts = urllib.parse.urlsplit(url)
    return parts.scheme == "ftp" and (
        "ftp" not in urllib.request.getproxies() or bool(urllib.request.proxy_bypass(parts.hostname))
    )


@contextmanager
def _open_http(url: str, start: int, known: Version) -> Iterator[Remote]:
    headers = {"Range": f"bytes={start}-"} if start else {}
    if start and known.mark:
        headers["If-Range"] = known.mark  # otherwise the whole file
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies beyond what we have: complete, unless the file is another one by now.
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total != str(start):
            raise ChangedError("the file on the server has changed") from error
        yield Remote(bytes, start, Version(known.mark, start))
        return
    with response:
        mark, read = _mark_of(response.headers), partial(response.read1, CHUNK)
        if response.status != 206:
            yield Remote(read, 0, Version(mark, _number(response.headers.get("Content-Length"))))
            return
        sent, _, total = (response.headers.get("Content-Range") or "").partition("/")
        if not sent.startswith(f"bytes {start}-"):
            raise ConnectionError("the server sent another range than asked for")
        version = Version(mark, _number(total))
        if version.differs(known):  # of a server that does not know If-Range
            raise ChangedError("the file on the server has changed")
        yield Remote(read, start, version)


def _mark_of(headers: Message) -> str | None:
    """What If-Range may name: a strong ETag, else the time of the last change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


@contextmanager
def _open_ftp(url: str, start: int, known: Version) -> Iterator[Remote]:
    parts = urllib.parse.urlsplit(url)
    *folders, name = map(urllib.parse.unquote, parts.path.removeprefix("/").split("/"))
    user, password = (urllib.parse.unquote(word or "") for word in (parts.username, parts.password))
    with closing(ftplib.FTP(timeout=TIMEOUT)) as ftp:
        ftp.connect(parts.hostname, parts.port or ftplib.FTP_PORT)
        ftp.login(user, password)
        for folder in filter(None, folders):
            ftp.cwd(folder)
        ftp.voidcmd("TYPE I")
        version = Version(_answer(ftp, f"MDTM {name}"), _number(_answer(ftp, f"SIZE {name}")))
        if start and (version.differs(known) or start > (version.total or start)):
            raise ChangedError("the file on the server has changed")
        if start and start == version.total:
            yield Remote(bytes, start, version)
            return
        connection, start = _transfer(ftp, name, start)
        with connection:
            yield Remote(partial(connection.recv, CHUNK), start, version)
        if version.total is None:  # then the server's word alone tells the file's end from the line's
            ftp.voidresp()


def _transfer(ftp: ftplib.FTP, name: str, start: int) -> tuple[socket, int]:
    """The connection on which the file ``name`` comes, and the byte that it begins with."""
    if start:
        try:
            return ftp.transfercmd(f"RETR {name}", rest=start), start
        except ftplib.error_perm as error:
            if not str(error).startswith(WITHOUT_REST):
                raise
    return ftp.transfercmd(f"RETR {name}"), 0


def _answer(ftp: ftplib.FTP, command: str) -> str | None:
    """What the server says to a question about a file; None where it does not know."""
    try:
        code, _, answer = ftp.sendcmd(command).partition(" ")
    except ftplib.error_perm:
        return None
    return answer.strip() if code == "213" else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
