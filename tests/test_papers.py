"""The six papers are cited alike: docs/citations.md, CITATION.cff, and the headers of our scripts."""

from __future__ import annotations

import re

import yaml

from entrypoints import ROOT
from printed_commands import blocks


def of_bibtex() -> set[tuple[str, tuple[str, ...], int, str]]:
    """Title, authors, year and venue (empty without) of each entry."""
    (text,) = blocks(ROOT / "docs" / "citations.md", "bibtex")
    found = set()
    for entry in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        values = dict(re.findall(r"^  (\w+) = \{?(.*?)\}?,$", entry, re.MULTILINE))
        authors = tuple(values["author"].split(" and "))
        found.add((values["title"], authors, int(values["year"]), values.get("booktitle", "")))
    return found


def of_cff() -> set[tuple[str, tuple[str, ...], int, str]]:
    """The same of CITATION.cff."""
    content = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert content["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= content.keys()
    found = set()
    for paper in content["references"]:
        assert {"type", "title", "authors"} <= paper.keys()
        venue = paper.get("conference", {}).get("name", "").removesuffix(f" {paper['year']}")
        authors = tuple(author["family-names"] for author in paper["authors"])
        found.add((paper["title"], authors, paper["year"], venue))
    return found


def of_scripts() -> set[str]:
    """What the scripts say behind ``# Paper:``."""
    found = (re.search(r"^# Paper: (.*)\.$", path.read_text(), re.MULTILINE) for path in ROOT.glob("scripts/*/*.sh"))
    return {line[1] for line in found if line}


def test_papers_are_cited_alike():
    papers = of_bibtex()
    assert len(papers) == 6
    assert of_cff() == papers
    headers = of_scripts()
    for title, authors, year, venue in papers:
        when = f"{venue} {year}" if venue else str(year)
        wanted = re.compile(rf"{re.escape(', '.join(authors))}: {re.escape(title)}, (arXiv [\d.]+, )?{re.escape(when)}")
        assert any(wanted.match(header) for header in headers), title
