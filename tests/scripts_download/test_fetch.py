"""Downloads from a server on loopback that behaves badly on request."""

from __future__ import annotations

import functools
import hashlib
import shutil
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

import pytest

from dml.data import download
from dml.data.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves ``content`` at every path but /missing; records the Range of each request."""

    def __init__(self):
        self.content = CONTENT
        self.ranges: list[str | None] = []
        self.accepts_ranges = True
        self.tells_size = True
        self.version: dict[str, str] = {}  # headers that tell this content from a later one
        self.knows_if_range = True
        self.break_after: list[int] = []  # bytes after which the next answers break off
        self.status_first: list[int] = []  # statuses of the next answers
        handler = functools.partial(Handler, self)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.tgz"


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *args):
        self.state = server
        super().__init__(*args)

    def do_GET(self):
        asked = self.headers.get("Range")
        self.state.ranges.append(asked)
        if self.state.status_first:
            return self.send_error(self.state.status_first.pop(0))
        if self.path == "/missing":
            return self.send_error(404)
        content = self.state.content
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.state.accepts_ranges else 0
        condition = self.headers.get("If-Range")
        if condition and self.state.knows_if_range and condition not in self.state.version.values():
            start = 0
        if start and start >= len(content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if self.state.tells_size:
            self.send_header("Content-Length", str(len(body)))
        for header, value in self.state.version.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(body[: self.state.break_after.pop(0)] if self.state.break_after else body)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def test_whole_file(server, tmp_path):
    target = fetch(server.url, tmp_path / "deep" / "set.tgz", md5=MD5)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["set.tgz"]


def test_a_right_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / "set.tgz").write_bytes(CONTENT)
    fetch(server.url, tmp_path / "set.tgz", md5=MD5)
    assert server.ranges == []


def test_a_wrong_file_is_fetched_again(server, tmp_path):
    (tmp_path / "set.tgz").write_bytes(b"something else")
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5).read_bytes() == CONTENT


def test_broken_connections_are_resumed(server, tmp_path):
    server.break_after = [100_000, 250_000]
    target = fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0)
    assert target.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=350000-"]


def test_a_later_call_resumes(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "RETRIES", 0)
    server.break_after = [100_000]
    with pytest.raises(DownloadError, match="100,000 bytes have come; run the command again"):
        fetch(server.url, tmp_path / "set.tgz", md5=MD5)
    assert {path.name for path in tmp_path.iterdir()} == {"set.tgz.part", "set.tgz.part.version"}
    fetch(server.url, tmp_path / "set.tgz", md5=MD5)
    assert server.ranges == [None, "bytes=100000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]


def test_server_without_ranges_starts_over_and_that_is_said(server, tmp_path, capsys):
    server.accepts_ranges = False
    server.break_after = [100_000]
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0).read_bytes() == CONTENT
    assert "the server sends the file as a whole only, so it begins again" in capsys.readouterr().out


@pytest.mark.parametrize("knows_if_range", [True, False])
@pytest.mark.parametrize(
    "versions",
    [
        ({"ETag": '"one"'}, {"ETag": '"two"'}),
        ({"Last-Modified": "Sat, 01 Jan 2022 12:00:00 GMT"}, {"Last-Modified": "Sun, 01 Jan 2023 12:00:00 GMT"}),
        ({"ETag": 'W/"weak"'}, {"ETag": 'W/"weak"'}),  # says nothing of bytes, but the size does
    ],
    ids=["etag", "date", "size"],
)
def test_a_file_that_changed_between_the_attempts_is_fetched_anew(
    server, tmp_path, monkeypatch, capsys, versions, knows_if_range
):
    monkeypatch.setattr(download, "RETRIES", 0)
    server.knows_if_range = knows_if_range
    server.break_after, server.version = [100_000], versions[0]
    with pytest.raises(DownloadError):
        fetch(server.url, tmp_path / "set.tgz")
    server.content, server.version = CONTENT[::-1] + b"more", versions[1]
    monkeypatch.setattr(download, "RETRIES", 1)
    assert fetch(server.url, tmp_path / "set.tgz", pause=0).read_bytes() == server.content
    assert "has changed" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]


@pytest.mark.parametrize("version", [{"ETag": '"one"'}, {"Last-Modified": "Sat, 01 Jan 2022 12:00:00 GMT"}])
def test_the_same_file_is_resumed(server, tmp_path, version):
    server.break_after, server.version = [100_000], version
    assert fetch(server.url, tmp_path / "set.tgz", pause=0).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-"]


def test_a_complete_part_file_is_taken(server, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(CONTENT)
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5).read_bytes() == CONTENT


def test_a_part_file_longer_than_the_file_is_started_over(server, tmp_path):
    (tmp_path / "set.tgz.part").write_bytes(CONTENT + b"more")
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0).read_bytes() == CONTENT


def test_wrong_hash_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match=f"MD5 is {MD5}, expected 0000"):
        fetch(server.url, tmp_path / "set.tgz", md5="0000")
    assert list(tmp_path.iterdir()) == []


def test_missing_file_is_not_asked_for_twice(server, tmp_path):
    with pytest.raises(DownloadError, match="404"):
        fetch(server.url.replace("set.tgz", "missing"), tmp_path / "set.tgz", pause=0)
    assert len(server.ranges) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.status_first = [503, 429, 502]
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0).read_bytes() == CONTENT


def test_no_server(server, tmp_path):
    with pytest.raises(DownloadError, match="run the command again"):
        fetch("http://127.0.0.1:9/set.tgz", tmp_path / "set.tgz", pause=0)


def test_full_disk(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="GB are needed for"):
        fetch(server.url, tmp_path / "set.tgz")


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_disk_that_fills_on_the_way(server, tmp_path, monkeypatch, tells_size):
    """/dev/full takes nothing; what came before it is kept."""
    server.tells_size = tells_size
    (tmp_path / "set.tgz.part").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=r"cannot write .*set.tgz.part: No space left on device.*run the command"):
        fetch(server.url, tmp_path / "set.tgz", md5=MD5)
    assert len(server.ranges) == 1


def test_a_folder_that_is_a_file(server, tmp_path):
    (tmp_path / "data").write_text("a file")
    with pytest.raises(DownloadError, match=r"cannot write .*/data: File exists"):
        fetch(server.url, tmp_path / "data" / "set.tgz")
    with pytest.raises(DownloadError, match=r"cannot write .*/data/deep: Not a directory"):
        fetch(server.url, tmp_path / "data" / "deep" / "set.tgz")
    assert server.ranges == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", "http, https or ftp"),
        ("set.tgz", "http, https or ftp"),
        ("http://[bad", "Invalid IPv6 URL"),
        ("http://127.0.0.1:port/set.tgz", "Port could not be cast"),
        ("http:///set.tgz", "names no host"),
        ("http://127.0.0.1:9/my set.tgz", "blank"),
        ("http://127.0.0.1:9/set.tgz\n", "blank"),
        ("http://127.0.0.1:9/größe.tgz", "%20"),
        ("ftp://127.0.0.1:9/set.tgz%0d%0aDELE x", "blank"),
        ("ftp://127.0.0.1:9/set.tgz%0d%0aDELE", "line break"),
    ],
)
def test_what_is_no_address_is_refused_at_once(tmp_path, monkeypatch, url, reason):
    monkeypatch.setattr(download.time, "sleep", lambda _: pytest.fail("asked again"))
    with pytest.raises(DownloadError, match=f"cannot download .*{reason}"):
        fetch(url, tmp_path / "set.tgz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "cause",
    [
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        ssl.SSLCertVerificationError("certificate has expired"),
    ],
)
def test_what_asking_again_cannot_mend_is_not_asked_again(tmp_path, monkeypatch, cause):
    monkeypatch.setattr(download.time, "sleep", lambda _: pytest.fail("asked again"))
    monkeypatch.setattr(urllib.request, "urlopen", mock.Mock(side_effect=urllib.error.URLError(cause)))
    with pytest.raises(DownloadError, match=r"https://example.test/set.tgz: .*(not known|has expired)"):
        fetch("https://example.test/set.tgz", tmp_path / "set.tgz")
