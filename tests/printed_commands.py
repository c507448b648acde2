"""The commands that our pages and the programs themselves print, with their shorthands written out.

A fenced block is shell unless it says otherwise (```text, ```python). In it, and in commands within a sentence,

* ``[--flag 1]`` may be left out, ``[--mix mixup | --mix cutmix]`` is one of them or none,
* ``0|1|2`` is one of them,
* ``…`` stands for further flags; as a loss, for each loss of the table above.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from entrypoints import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)
STARTS_ONE = re.compile(r"(python3?|torchrun|srun|sbatch|make|sh|source|pip|wandb) |scripts/\S+\.sh( |$)|code/\w+\.py ")


@dataclass(frozen=True)
class Printed:
    """A command, or a piece of it, where it stands.

    Attributes:
        place: page and line.
        text: as printed, on one line.
        losses: those of the table above it.
    """

    place: str
    text: str
    losses: tuple[str, ...] = ()

    def variants(self) -> list[str]:
        """Every command that it stands for."""
        found = [re.sub(r"(^|\s)#.*", "", self.text).strip()]
        while any(OPTIONAL.search(text) for text in found):
            found = [variant for text in found for variant in _without_brackets(text)]
        found = [variant for text in found for variant in self._with_losses(text)]
        return list(dict.fromkeys(variant for text in found for variant in _alternatives(text)))

    def _with_losses(self, text: str) -> list[str]:
        if "--loss …" in text:
            assert self.losses, f"{self.place}: --loss … without a table of losses above"
            return [text.replace("…", loss, 1) for loss in self.losses]
        return [" ".join(word for word in text.split(" ") if word != "…")]


OPTIONAL = re.compile(r"(?<=[\s…])\[([^\[\]]*)\]")


def _without_brackets(text: str) -> list[str]:
    """The innermost brackets left out, and each of what they offer."""
    found = OPTIONAL.search(text)
    if found is None:
        return [text]
    return [text[: found.start()] + choice + text[found.end() :] for choice in ["", *found[1].split(" | ")]]


def _alternatives(text: str) -> list[str]:
    words = [word.split("|") if re.fullmatch(r"[\w|.-]+", word) else [word] for word in text.split(" ")]
    return [" ".join(chosen) for chosen in product(*words)]


def of_page(page: Path) -> Iterator[Printed]:
    """Its commands: each line of a block of shell, and the complete ones within sentences and tables."""
    text = page.read_text()
    for block in FENCE.finditer(text):
        if block[1] == "":
            lines = re.sub(r"\\\n\s*", "", block[2]).splitlines()
            yield from (Printed(_place(page, text, block.start()), line) for line in lines)
    for place, span, before in _spans(page):
        if STARTS_ONE.match(span) and not re.fullmatch(r"\w+ …", span) and "<" not in span:
            yield Printed(place, span, _losses_of(before, bare="[_lsd" in span))


def of_docstring(program: Path) -> Iterator[Printed]:
    """Each line of a program's docstring that begins with ``python``."""
    text = program.read_text()
    docstring = re.sub(r"\\\n\s*", "", ast.get_docstring(ast.parse(text)))
    for line in docstring.splitlines():
        if line.startswith("python "):
            yield Printed(_place(program, text, 0), line)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return [block[2] for block in FENCE.finditer(page.read_text()) if block[1] == language]


def flags(page: Path) -> Iterator[tuple[str, str]]:
    """Place and name of every flag that a sentence or a table mentions."""
    for place, span, _ in _spans(page):
        for flag in re.findall(r"(?<![\w-])--[A-Za-z][\w-]*(?!\w*…)", span):
            if flag.endswith("_"):  # --loss_…, a group of flags
                continue
            yield place, flag


def paths(page: Path) -> Iterator[tuple[str, str]]:
    """Place and path of every file of the repository that is mentioned; of a script its name may be all."""
    for place, span, _ in _spans(page):
        if re.fullmatch(r"(code|scripts|tests|docs)/[\w/]+\.\w+|\w+\.sh", span):
            yield place, span


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Place and target of every link to another page, or to a heading."""
    text = _prose(page)
    for found in re.finditer(r"\]\(([^)]+)\)", text):
        if "://" not in found[1]:
            yield _place(page, text, found.start()), found[1]


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    titles = re.findall(r"^#+ (.*)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def _spans(page: Path) -> Iterator[tuple[str, str, str]]:
    """Place, text on one line, and what stands before it."""
    text = _prose(page)
    for found in SPAN.finditer(text):
        yield _place(page, text, found.start()), " ".join(found[1].split()), text[: found.start()]


def _prose(page: Path) -> str:
    """What stands outside of blocks, line by line."""
    return FENCE.sub(lambda block: "\n" * block[0].count("\n"), page.read_text())


def _place(page: Path, text: str, start: int) -> str:
    return f"{page.relative_to(ROOT)}:{text[:start].count(chr(10)) + 1}"


def _losses_of(before: str, *, bare: bool) -> tuple[str, ...]:
    """The names in the first column of the last table, else in its head; ``bare``: without ``_lsd``."""
    tables = TABLE.findall(before + "\n")
    if not tables:
        return ()
    first, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[-1].splitlines()]
    column = [row[0].strip("`") for row in rows if row[0].startswith("`")]
    names = column or [cell.strip("`") for cell in first if "_" in cell or cell.isalpha()][1:]
    return tuple(dict.fromkeys(name.removesuffix("_lsd") if bare else name for name in names))
