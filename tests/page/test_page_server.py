"""The page's server answers its own page, and nobody who is up to something."""

from __future__ import annotations

import http.client
import io
import json
import socket
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dml
from dml.page import server as server_module
from dml.page.server import PageServer
from dml.page.upload import MOST_BYTES
from untrained import untrained

HEAD = "POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: "
SCRIPT = "<script>alert(1)</script> & Söhne"


@pytest.fixture(scope="module")
def index(digits, tmp_path_factory) -> dml.Index:
    folder = tmp_path_factory.mktemp("secret_place")
    with dml.Index.create(folder / "shop.index", untrained(folder, 0)) as index:
        index.add(sorted(digits.glob("digit_[0-3]/1*.png"))[:20], label=SCRIPT)
        index.add([digits / "digit_5", digits / "digit_6"], label="digits")
        yield index


@pytest.fixture(scope="module")
def server(index):
    with PageServer(index, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def ask(server: PageServer, method: str, path: str, body: bytes | None = None, **headers: str):
    """Status, headers and content."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def photograph(path: Path) -> bytes:
    file = io.BytesIO()
    Image.open(path).convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()


def test_an_answer(server, digits, index):
    body = photograph(digits / "digit_5" / "03.png")
    status, headers, content = ask(server, "POST", "/ask", body, Content_Type="image/jpeg")
    text = content.decode()
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert '<p class="verdict">digits' in text and '<meter min="0" max="1"' in text
    assert f'src="thumbnail/{index.store.ids_of("digits")[0]}"' in text or "thumbnail/" in text
    _, _, content = ask(server, "POST", "/ask", body, Content_Type="image/jpeg", Accept="application/json")
    answer = json.loads(content)
    assert answer["names"][0]["name"] == "digits"
    assert index.store.item(answer["nearest"][0]["item"]).name == "03.png"
    deep = io.BytesIO()
    Image.fromarray(np.full((40, 40), 60_000, np.uint16)).save(deep, "PNG")
    assert ask(server, "POST", "/ask", deep.getvalue(), Content_Type="image/png")[0] == 200


def test_pages_and_pictures(server, index):
    for path in ("/", "/style.css", "/page.js", "/product?name=digits"):
        status, headers, content = ask(server, "GET", path)
        assert status == 200 and len(content) > 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    page = ask(server, "GET", "/product?name=digits")[2].decode()
    assert page.count("<img") == 48
    number = index.store.ids_of("digits")[0]
    for kind in ("thumbnail", "photograph"):
        status, headers, content = ask(server, "GET", f"/{kind}/{number}")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(content)).size == (32, 32)


def test_a_product_has_several_pages(server, index, monkeypatch):
    monkeypatch.setattr(server_module, "PER_PAGE", 20)
    pages = [ask(server, "GET", f"/product?name=digits&page={page}")[2].decode() for page in (1, 2, 3)]
    assert [page.count("<img") for page in pages] == [20, 20, 8]
    assert "page=2" in pages[0] and "page=4" not in pages[2]


def test_names_are_text(server):
    page = ask(server, "GET", "/product?name=%3Cscript%3Ealert(1)%3C/script%3E%20%26%20S%C3%B6hne")[2].decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in page
    assert "<script>" not in page


def test_no_place_of_the_machine_is_told(server, index, digits):
    body = photograph(digits / "digit_5" / "03.png")
    answers = [ask(server, "GET", path)[2] for path in ("/", "/product?name=digits", "/nowhere", "/photograph/999")]
    answers += [
        ask(server, "POST", "/ask", sent, Content_Type="image/png", Accept=kind)[2]
        for sent in (body, b"no image")
        for kind in ("text/html", "application/json")
    ]
    for content in answers:
        assert b"secret_place" not in content and str(digits).encode() not in content


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/thumbnail/../items.sqlite", "/photograph/%2e%2e/1", "/photograph/1/2", "/thumbnail/-1",
        "/thumbnail/1e3", "/thumbnail/99999999999999999999999", "/thumbnail/", "/assets/style.css", "/product?name=no",
        "/product", "/style.css/", "//etc/passwd", "/thumbnail/%D9%A3", "/[/1", "/ask",
    ],
)  # fmt: skip
def test_what_is_not_there(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest("GET", path)
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200), ("localhost:80", 200), ("[::1]:8000", 200), ("192.168.0.7", 200),
        ("evil.test", 403), ("evil.test:8000", 403), ("localhost.evil.test", 403), ("", 403), ("[::1", 403),
    ],
)  # fmt: skip
def test_names_that_the_page_goes_by(server, host, status):
    """Under a name of somebody else's, which means this machine for a while, nothing is answered."""
    assert ask(server, "GET", "/", Host=host)[0] == status


def test_other_pages_cannot_post(server, digits):
    body = photograph(digits / "digit_5" / "03.png")
    own = f"127.0.0.1:{server.server_port}"
    kind = {"Content_Type": "image/jpeg"}
    assert ask(server, "POST", "/ask", body, Origin=f"http://{own}", Host=own, **kind)[0] == 200
    for origin in ("http://evil.test", "null", "http://127.0.0.1:1"):
        assert ask(server, "POST", "/ask", body, Origin=origin, Host=own, **kind)[0] == 403
    # What a form of another page can send without asking first.
    for simple in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", ""):
        assert ask(server, "POST", "/ask", body, Content_Type=simple)[0] == 415


def bomb(width: int, height: int) -> bytes:
    """A PNG file of a few bytes that says it has so many pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"no image", "it is no image"),
        (b"", "it is no image"),
        (bomb(12_000, 12_000), "12,000 × 12,000 pixels: more than"),
        (bomb(60_000, 60_000), "exceeds limit"),
        (bomb(100, 100), "cannot be read as an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "it is no image"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "cannot be read as an image"),
    ],
)
def test_what_is_no_image(server, content, told):
    status, _, answer = ask(server, "POST", "/ask", content, Content_Type="image/png")
    assert status == 400
    assert told in answer.decode()


def test_what_is_too_large_is_not_read(server):
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        head = (
            f"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: {MOST_BYTES + 1}\r\n"
        )
        connection.sendall(f"{head}\r\n".encode())
        answer = b""
        while piece := connection.recv(4096):  # until it is closed
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"Connection: close" in answer
    for length in ("-1", "x", "٣", "1" * 30):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
            head = (
                f"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
            )
            connection.sendall(head.encode())
            assert connection.recv(4096)[:12] in (b"HTTP/1.1 411", b"HTTP/1.1 413")


def test_a_file_that_changed_shows_as_it_was(server, index, digits, tmp_path):
    path = tmp_path / "x.png"
    Image.open(digits / "digit_7" / "00.png").save(path)
    (number,) = index.add(path, label="seven").added.ids
    before = ask(server, "GET", f"/thumbnail/{number}")[2]
    path.write_text("something secret")
    assert ask(server, "GET", f"/photograph/{number}")[2] == before
    index.remove([number])
    assert ask(server, "GET", f"/photograph/{number}")[0] == 404


def test_an_index_that_cannot_answer(digits, tmp_path, capsys):
    with dml.Index.create(tmp_path / "x.index", untrained(tmp_path, 0)) as empty, PageServer(empty, port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        body = photograph(digits / "digit_5" / "03.png")
        status, _, content = ask(server, "POST", "/ask", body, Content_Type="image/jpeg")
        server.shutdown()
    assert (status, content) == (503, b"the index cannot answer; its server says why")
    assert "x.index holds no photograph yet" in capsys.readouterr().err


def test_an_address_that_cannot_be_had(server, index):
    with pytest.raises(ValueError, match=f"--host 127.0.0.1 --port {server.server_port}: Address already in use"):
        PageServer(index, port=server.server_port)
    with pytest.raises(ValueError, match=r"--host no\.such\.host --port 0"):
        PageServer(index, host="no.such.host", port=0)
    assert server.is_local and server.address == f"http://127.0.0.1:{server.server_port}/"
