"""Downloads from a server on loopback that behaves badly on request."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dml.data import download
from dml.data.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 4000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server:
    """Serves CONTENT at every path but /missing; records the Range of each request."""

    def __init__(self):
        self.ranges: list[str | None] = []
        self.accepts_ranges = True
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
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.state.accepts_ranges else 0
        if start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
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
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz.part"]
    fetch(server.url, tmp_path / "set.tgz", md5=MD5)
    assert server.ranges == [None, "bytes=100000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["set.tgz"]


def test_server_without_ranges_starts_over(server, tmp_path):
    server.accepts_ranges = False
    server.break_after = [100_000]
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0).read_bytes() == CONTENT


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
    server.status_first = [503, 502]
    assert fetch(server.url, tmp_path / "set.tgz", md5=MD5, pause=0).read_bytes() == CONTENT


def test_no_server(server, tmp_path):
    with pytest.raises(DownloadError, match="run the command again"):
        fetch("http://127.0.0.1:9/set.tgz", tmp_path / "set.tgz", pause=0)


def test_full_disk(server, tmp_path, monkeypatch):
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DownloadError, match="GB are needed"):
        fetch(server.url, tmp_path / "set.tgz")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "set.tgz"])
def test_other_addresses_are_refused(tmp_path, url):
    with pytest.raises(DownloadError, match="http, https or ftp"):
        fetch(url, tmp_path / "set.tgz")
