"""Pages that are files, complete in themselves: answers, and groups of duplicates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

from PIL import Image

from dml.api.index import Index
from dml.page.render import answer_html, data_uri, file_document, grid
from dml.search.answers import Answer
from dml.search.duplicates import Group
from dml.search.items import Item
from dml.search.reading import thumbnail_of


def answers_page(index: Index, asked: Sequence[Path], answers: Sequence[Answer]) -> str:
    """What an index says of each of the photographs ``asked``."""

    def source(item: Item) -> str:
        return data_uri(index.store.thumbnail(item.id) or b"")

    parts = []
    for path, answer in zip(asked, answers, strict=True):
        picture = data_uri(thumbnail_of(index.embedder.preprocessing.read(path)))
        name = escape(path.name.encode(errors="replace").decode())
        parts.append(f'<div class="asked"><img src="{picture}" alt=""><p class="soft">{name}</p></div>')
        parts.append(answer_html(answer, source, linked=False))
    return file_document("What is this?", "\n".join(parts))


def duplicates_page(groups: Sequence[Group], read: Callable[[str], Image.Image]) -> str:
    """Groups of photographs of one picture.

    Args:
        read: path → 8-bit RGB.
    """
    cards = []
    for group in groups:
        cells = []
        for one in group.photographs:
            folder, name = Path(one.path).parts[-2:]
            text = escape(f"{folder}/{name}".encode(errors="replace").decode())
            picture = data_uri(thumbnail_of(read(one.path)))
            cells.append(f'<figure><img src="{picture}" alt=""><figcaption>{text}</figcaption></figure>')
        names = f'<p class="lost">under {len(group.labels)} names</p>' if len(group.labels) > 1 else ""
        head = f'<div class="head"><h2>{group.kind}</h2><span class="score">{group.similarity:.3f}</span></div>'
        cards.append(f'<li class="name">{head}{names}\n{grid(cells)}</li>')
    told = f'<p class="soft">{len(groups):,} groups</p>'
    listed = "\n".join(cards)
    return file_document("Duplicates", f'{told}\n<ol class="names">\n{listed}\n</ol>')
