"""A real browser by the W3C's WebDriver protocol: Debian's chromium and chromium-driver, and nothing else."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


class Browser:
    """One window."""

    def __init__(self, address: str):
        options = {"binary": CHROMIUM, "args": list(FLAGS)}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self.address = address
        self.session = self._call("POST", "/session", wanted)["sessionId"]

    def _call(self, method: str, path: str, body: dict | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = Request(self.address + path, content, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def do(self, path: str, **body: Any) -> Any:
        """A command of this window."""
        return self._call("POST", f"/session/{self.session}{path}", body)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.do("/execute/sync", script=script, args=list(arguments))

    def choose(self, selector: str, file: str) -> None:
        """Choose a file in an ``<input type=file>``."""
        element = self.do("/element", using="css selector", value=selector)[ELEMENT]
        self.do(f"/element/{element}/value", text=file)

    def wait_for(self, script: str, seconds: float = 60) -> Any:
        """What a script returns once that counts as true."""
        end = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"waited in vain for {script}"
            time.sleep(0.1)
        return value

    def look(self, width: int, height: int, *, dark: bool) -> None:
        """Have a screen of that size, by day or by night."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("/goog/cdp/execute", cmd="Emulation.setDeviceMetricsOverride", params=size)
        scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]}
        self.do("/goog/cdp/execute", cmd="Emulation.setEmulatedMedia", params=scheme)

    def screenshot(self) -> bytes:
        """PNG of what is seen."""
        return base64.b64decode(self._call("GET", f"/session/{self.session}/screenshot"))


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that is closed again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([DRIVER, f"--port={port}"], **quiet)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urlopen(f"{address}/status", timeout=10).close()
                break
            except (URLError, OSError):
                time.sleep(0.1)
        window = Browser(address)
        try:
            yield window
        finally:
            window._call("DELETE", f"/session/{window.session}")
    finally:
        process.terminate()
        process.wait()
