"""The page in a real browser, on a phone's and a desk's screen, by day and by night."""

from __future__ import annotations

import base64
import threading

import pytest

import dml
from browser import CHROMIUM, DRIVER, browser
from dml.page.server import PageServer
from untrained import untrained

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="no browser: Debian has it in the packages chromium and chromium-driver"
)
ANSWERED = "return document.querySelectorAll('#result .name').length"
LOADED = "return [...document.images].filter((one) => one.complete && one.naturalWidth).length"
DROP = """
const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], arguments[2], { type: arguments[1] }));
const event = arguments[3] === "paste" ? new ClipboardEvent("paste", { clipboardData: data })
  : new DragEvent("drop", { dataTransfer: data, cancelable: true });
document.dispatchEvent(event);
"""


@pytest.fixture(scope="module")
def server(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    with dml.Index.create(folder / "shop.index", untrained(folder, 0)) as index:
        index.add([digits / "digit_5", digits / "digit_6"], label="<b>five & six</b>")
        index.add(digits / "digit_0", label="zero")
        with PageServer(index, port=0) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server
            server.shutdown()


@pytest.fixture(scope="module")
def window(server):
    with browser() as window:
        yield window


@pytest.fixture(autouse=True)
def _opened(window, server):
    window.look(1280, 900, dark=False)
    window.do("/url", url=server.address)


def test_choosing_a_file(window, digits):
    window.choose("#choose", str(digits / "digit_5" / "03.png"))
    window.wait_for(ANSWERED)
    assert window.run("return document.querySelector('.verdict').textContent").startswith("<b>five & six</b>")
    assert window.run("return document.querySelector('meter').value") > 0
    window.wait_for(f"{LOADED} >= 2")  # what was asked, and an answer
    window.run("document.querySelector('.name a').click()")
    heading = window.wait_for("return location.pathname == '/product' && document.querySelector('h1').textContent")
    assert heading == "<b>five & six</b>"
    window.wait_for(f"{LOADED} >= 10")


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_dropping_and_pasting(window, digits, how):
    content = base64.b64encode((digits / "digit_0" / "03.png").read_bytes()).decode()
    window.run(DROP, content, "image/png", "03.png", how)
    window.wait_for(ANSWERED)
    assert window.run("return document.querySelector('.verdict').textContent").startswith("zero")


def test_what_is_no_image(window):
    window.run(DROP, base64.b64encode(b"no image").decode(), "image/png", "x.png", "drop")
    told = "return document.getElementById('told').textContent"
    assert "it is no image" in window.wait_for("const t = document.getElementById('told').textContent;"
                                               " return t.includes('cannot') && t")  # fmt: skip
    window.run(DROP, base64.b64encode(b"text").decode(), "text/plain", "x.txt", "drop")
    assert window.run(told) == "That is no image."


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
def test_it_fits_the_screen(window, digits, width, height, dark):
    window.look(width, height, dark=dark)
    window.choose("#camera", str(digits / "digit_5" / "03.png"))
    window.wait_for(ANSWERED)
    assert window.run("return document.documentElement.scrollWidth <= innerWidth")
    ground = window.run("return getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, ground.removeprefix("rgb(").removesuffix(")").split(",")))
    assert (brightness < 200) == dark
    heights = "return [...document.querySelectorAll('.button')].map((one) => one.getBoundingClientRect().height)"
    assert min(window.run(heights)) >= 40  # for a thumb


def test_nothing_foreign_is_asked_for(window, server, digits):
    window.choose("#choose", str(digits / "digit_5" / "03.png"))
    window.wait_for(ANSWERED)
    asked = window.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert asked and all(one.startswith((server.address, "blob:", "data:")) for one in asked)
