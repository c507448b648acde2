"""Answers as HTML: pieces that files and the served page share. Every text is escaped; nothing foreign is loaded."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from dml.search.answers import Answer, Found, Name
from dml.search.items import CHANGED, GONE, Item

ASSETS = Path(__file__).parent / "assets"
Source = Callable[[Item], str]
"""Where the thumbnail of an item is, as ``src`` has it."""

_STATES = {CHANGED: "its file has changed since", GONE: "its file is gone"}


def document(title: str, body: str, *, head: str = "") -> str:
    """A whole page."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n{head}</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def file_document(title: str, body: str) -> str:
    """A whole page that is a file: complete in itself."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    style = (ASSETS / "style.css").read_text()
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>\n{style}</style>\n'
    return document(title, f"<h1>{escape(title)}</h1>\n{body}", head=head)


def data_uri(jpeg: bytes) -> str:
    """A JPEG image as ``src`` has it."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def answer_html(answer: Answer, source: Source, *, linked: bool) -> str:
    """What an index says of a photograph.

    Args:
        linked: whether names lead to the page of their product.
    """
    parts = [_verdict(answer)]
    if answer.names:
        names = "\n".join(_name(name, source, linked=linked) for name in answer.names)
        parts.append(f'<ol class="names">\n{names}\n</ol>')
    else:
        parts.append(photographs_html(answer.nearest, source))
    return "\n".join(parts)


def photographs_html(found: Sequence[Found], source: Source) -> str:
    """A grid of photographs with their similarities."""
    cells = [_photograph(one.item, source, f"{one.similarity:.3f}", _STATES.get(one.state, "")) for one in found]
    return grid(cells)


def grid(cells: Sequence[str]) -> str:
    """Cells of ``photograph_html`` side by side."""
    return '<ul class="photographs">\n' + "\n".join(f"<li>{cell}</li>" for cell in cells) + "\n</ul>"


def photograph_html(item: Item, source: Source, *, caption: str = "", link: str | None = None) -> str:
    """A photograph of the index."""
    return _photograph(item, source, caption, "", link=link)


def product_link(name: str) -> str:
    """The address of a product's page."""
    return f"product?name={quote(name, safe='')}"


def _verdict(answer: Answer) -> str:
    if not answer.names:
        return '<p class="soft">The index has no labels: these photographs are the nearest.</p>'
    best = answer.names[0]
    if answer.is_unknown:
        return (
            f'<p class="verdict unknown">Unknown? The best name, {escape(best.name)}, has the score {best.score:.2f},'
            f" below the threshold of {answer.threshold:.2f}.</p>"
        )
    doubt = "" if answer.threshold is not None else ' <span class="soft">(the index is not calibrated)</span>'
    return f'<p class="verdict">{escape(best.name)}{doubt}</p>'


def _name(name: Name, source: Source, *, linked: bool) -> str:
    title = escape(name.name)
    if linked:
        title = f'<a href="{escape(product_link(name.name))}">{title}</a>'
    return (
        f'<li class="name"><div class="head"><h2>{title}</h2><span class="score">{name.score:.2f}</span></div>'
        f'<meter min="0" max="1" value="{name.score:.4f}">{name.score:.2f}</meter>\n'
        f"{photographs_html(name.photographs, source)}</li>"
    )


def _photograph(item: Item, source: Source, caption: str, lost: str, *, link: str | None = None) -> str:
    text = f"{escape(item.name.encode(errors='replace').decode())} {caption}".strip()
    if lost:
        text += f' <span class="lost">{lost}</span>'
    image = f'<img src="{escape(source(item))}" alt="{escape(item.label or "")}" loading="lazy">'
    if link is not None:
        image = f'<a href="{escape(link)}">{image}</a>'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"
