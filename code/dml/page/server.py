"""A page on this machine: drop a photograph, see what it shows.

It answers browsers of this machine alone unless another address is given. A page of somebody else's can neither read
it under a name of its own (the Host header must be an address, or a name of this machine: DNS rebinding) nor post to it
(the Origin must be its own, and an image's Content-Type makes browsers ask first, which is not answered). Photographs
and thumbnails go by the number of their item: no path is taken from a request, and none is given.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import sys
import threading
from collections.abc import Callable
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from dml.api.index import Index
from dml.errors import UserError
from dml.page.render import (
    ASSETS,
    answer_html,
    document,
    grid,
    photograph_html,
    product_link,
)
from dml.page.upload import MOST_BYTES, UploadError, decode
from dml.search.answers import Answer
from dml.search.items import PRESENT, Item, state_of
from dml.search.reading import jpeg_of

PATIENCE = 30  # seconds that a browser has to go on with what it sends
AT_ONCE = 2  # photographs that are decoded and embedded at a time
CONNECTIONS = 64
PER_PAGE = 60  # photographs of a product
LARGE = 1600  # pixels of the longer side of a photograph that is looked at
TOP = 5
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' blob: data:; style-src 'self'; script-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PAGE = """<h1>What is this?</h1>
<p class="soft">{told}</p>
<div class="drop" id="drop"><p>Drop a photograph here, or paste one.</p>
<div class="buttons">
<label class="button">Take a photograph<input type="file" id="camera" accept="image/*" capture="environment"></label>
<label class="button second">Choose a file<input type="file" id="choose" accept="image/*"></label>
</div></div>
<div class="asked" id="asked" hidden><img id="picture" alt="the photograph that is asked about">
<p class="soft" id="told" role="status"></p></div>
<main id="result" aria-live="polite"></main>"""


class PageError(Exception):
    """A request that is not answered as it asks.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


class PageServer(ThreadingHTTPServer):
    """Serves the page of an index until it is shut down.

    Args:
        index: which must stay open.
        host: the address, or name, that the page is for.
        port: 0: any that is free.

    Raises:
        UserError: the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, index: Index, *, host: str = "127.0.0.1", port: int = 8000):
        self.index, self.host = index, host
        self.asking = threading.BoundedSemaphore(AT_ONCE)
        self._connections = threading.BoundedSemaphore(CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise UserError(f"--host {host} --port {port}: {error.strerror or error}") from error

    @property
    def address(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.server_port}/"

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.server_address[0]).is_loopback

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, unless there are too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and make room for another."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is none; other errors keep their traceback, here and not on the page."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)

    def takes(self, host: str) -> bool:
        """Whether a request's Host header names this machine."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in ("localhost", self.host.lower())
        return True


class Handler(BaseHTTPRequestHandler):
    """Answers one browser."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    server_version, sys_version = "dml", ""
    server: PageServer

    def do_GET(self) -> None:
        """The page, its parts, photographs and products."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """What a photograph shows: a piece of the page, or JSON where that is accepted."""
        self._answer(self._ask)

    def log_message(self, *_: object) -> None:
        """Nothing: requests are not worth a line each."""

    def _answer(self, reply: Callable[[], None]) -> None:
        try:
            self._check_origin()
            reply()
        except PageError as error:
            self.close_connection = True  # whatever was sent besides is not read
            self._send(str(error).encode(), "text/plain; charset=utf-8", status=error.status)
        except UserError as error:  # which may name files of this machine: not for the page
            print(f"warning: {error}", file=sys.stderr)
            self._send(b"the index cannot answer; its server says why", "text/plain; charset=utf-8", status=503)

    def _check_origin(self) -> None:
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if not self.server.takes(host):
            raise PageError(403, "this page is not of that name")
        if origin is not None and urlsplit(origin).netloc != host:
            raise PageError(403, "other pages are not answered")

    def _place(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError as error:
            raise PageError(404, "there is no such page") from error

    def _get(self) -> None:
        place = self._place()
        fixed: dict[str, Callable[[], None]] = {
            "/": self._home,
            "/style.css": lambda: self._asset("style.css", "text/css"),
            "/page.js": lambda: self._asset("page.js", "text/javascript"),
            "/product": lambda: self._product(parse_qs(place.query)),
        }
        if place.path in fixed:
            fixed[place.path]()
        else:
            self._picture(place.path)

    def _home(self) -> None:
        labels = self.server.index.store.labels()
        told = f"{len(self.server.index):,} photographs" + (f" of {len(labels):,} products" if labels else "")
        if labels and self.server.index.calibration is None:
            told += "; not calibrated: every photograph gets a name, however unlike it is"
        self._page("What is this?", _PAGE.format(told=told), script=True)

    def _product(self, query: dict[str, list[str]]) -> None:
        store = self.server.index.store
        name = query.get("name", [""])[0]
        number = store.labels().get(name)
        if number is None:
            raise PageError(404, "there is no such product")
        page = query.get("page", ["1"])[0]
        first = (max(1, int(page)) - 1) * PER_PAGE if page.isascii() and page.isdigit() and len(page) < 9 else 0
        items = [item for item in store.items(store.ids_of(name, first=first, most=PER_PAGE)) if item is not None]
        cells = [photograph_html(item, _thumbnail, link=f"photograph/{item.id}") for item in items]
        parts = ['<p><a href=".">What is this?</a></p>', f"<h1>{escape(name)}</h1>"]
        parts += [f'<p class="soft">{number:,} photographs</p>', grid(cells)]
        if first + PER_PAGE < number:
            parts.append(f'<p><a href="{escape(product_link(name))}&amp;page={first // PER_PAGE + 2}">more</a></p>')
        self._page(name, "\n".join(parts))

    def _picture(self, path: str) -> None:
        """``/thumbnail/7`` or ``/photograph/7``, 7 an item."""
        _, kind, *rest = path.split("/")
        number = rest[0] if len(rest) == 1 else ""
        if kind not in ("thumbnail", "photograph") or not (number.isascii() and number.isdigit() and len(number) < 19):
            raise PageError(404, "there is no such page")
        store = self.server.index.store
        item = store.item(int(number))
        if item is None:
            raise PageError(404, "there is no such photograph")
        if kind == "photograph" and state_of(item) == PRESENT:
            with self.server.asking:
                jpeg = jpeg_of(self.server.index.embedder.preprocessing.read(item.path), side=LARGE)
        else:
            jpeg = store.thumbnail(item.id) or b""
        self._send(jpeg, "image/jpeg", cache="private, max-age=3600")

    def _ask(self) -> None:
        if self._place().path != "/ask":
            raise PageError(404, "there is no such page")
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if not (kind.startswith("image/") or kind == "application/octet-stream"):
            raise PageError(415, "send an image")
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or "Transfer-Encoding" in self.headers:
            raise PageError(411, "say how long the image is")
        if len(length) > 12 or int(length) > MOST_BYTES:
            raise PageError(413, f"the file has more than {MOST_BYTES // 2**20} MiB")
        content = self.rfile.read(int(length))
        index = self.server.index
        try:
            with self.server.asking:
                how = index.embedder.preprocessing
                (answer,) = index.query(decode(content, upright=how.upright, bits=how.bits), top=TOP)
        except UploadError as error:
            raise PageError(400, str(error)) from error
        if "application/json" in self.headers.get("Accept", ""):
            self._send(json.dumps(_plain(answer)).encode(), "application/json")
        else:
            text = answer_html(answer, _thumbnail, linked=True)
            self._send(text.encode(), "text/html; charset=utf-8")

    def _asset(self, name: str, kind: str) -> None:
        self._send((ASSETS / name).read_bytes(), f"{kind}; charset=utf-8")

    def _page(self, title: str, body: str, *, script: bool = False) -> None:
        head = '<link rel="icon" href="data:,">\n<link rel="stylesheet" href="style.css">\n'
        head += '<script src="page.js" defer></script>\n' if script else ""
        self._send(document(title, body, head=head).encode(), "text/html; charset=utf-8")

    def _send(self, content: bytes, kind: str, *, status: int = 200, cache: str = "no-store") -> None:
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", cache)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _thumbnail(item: Item) -> str:
    return f"thumbnail/{item.id}"


def _plain(answer: Answer) -> dict[str, Any]:
    """For programs, without places."""
    return {
        "unknown": answer.is_unknown,
        "threshold": answer.threshold,
        "names": [
            {"name": name.name, "score": name.score, "items": [found.item.id for found in name.photographs]}
            for name in answer.names
        ],
        "nearest": [
            {"item": found.item.id, "label": found.item.label, "similarity": found.similarity}
            for found in answer.nearest
        ],
    }
