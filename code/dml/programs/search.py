"""What ``code/search.py`` does with an index."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dml.api.duplicates import find_duplicates
from dml.api.embedder import load
from dml.api.index import Index
from dml.cli.search import SearchCommand
from dml.data.own_images import counted
from dml.errors import UserError
from dml.page.files import answers_page, duplicates_page
from dml.search.answers import Answer, Found
from dml.search.calibration import SHOWN, Calibration, Point
from dml.search.engines import EXACT
from dml.search.growth import Growth
from dml.search.items import GONE, state_of
from dml.search.photographs import photographs_in, warn_of_unreadable
from dml.tracking import say
from dml.writing import write_text_atomically


def run(command: SearchCommand) -> None:
    """Do what a command line of search.py asks for. UserError for what does not fit."""
    _RUN[command.action](command)


def index(command: SearchCommand) -> None:
    """Make an index."""
    with Index.create(command.out, command.ckpt, engine=command.engine) as made:
        say(f"{command.out}: {made.embedder.description}, on {made.embedder.device}")
        if not command.photos:
            say(f"empty: `python code/search.py add {command.out} PHOTOS` fills it")
            return
        _grow(made, command.photos, None)
        if made.store.labels():
            _calibrate(made, command)
        _tell_recall(made)


def add(command: SearchCommand) -> None:
    """Add photographs to an index."""
    with Index.open(command.index, command.ckpt) as opened:
        _grow(opened, command.places, command.label)
        if (told := opened.calibration) is not None and len(opened) > 2 * told.items:
            say(f"its threshold is of a time when it had {told.items:,} photographs: calibrate finds a new one")
        _tell_recall(opened)


def query(command: SearchCommand) -> None:
    """Say what photographs show."""
    with Index.open(command.index, command.ckpt) as opened:
        asked = [Path(one.path) for one in photographs_in(command.places)]
        answers = opened.query(asked, top=command.top)
        for path, answer in zip(asked, answers, strict=True):
            say("\n".join(_lines(path, answer)))
        if command.json is not None:
            told = [{"photograph": str(path)} | _plain(answer) for path, answer in zip(asked, answers, strict=True)]
            _write(json.dumps(told, indent=2, ensure_ascii=False) + "\n", command.json)
        if command.html is not None:
            _write(answers_page(opened, asked, answers), command.html)


def calibrate(command: SearchCommand) -> None:
    """Find the score from which on a name is believed."""
    with Index.open(command.index, command.ckpt) as opened:
        _calibrate(opened, command)


def duplicates(command: SearchCommand) -> None:
    """Find photographs that are there more than once."""
    embedder = load(command.ckpt)
    found = photographs_in(command.places)
    with tqdm(total=len(found), unit=" photographs", leave=False, disable=None) as bar:
        groups, faults = find_duplicates(embedder, found, similarity=command.similarity, progress=bar.update)
    warn_of_unreadable(faults, len(found))
    for group in groups:
        names = f", under {len(group.labels)} names" if len(group.labels) > 1 else ""
        say(f"{group.kind} ({group.similarity:.3f}{names}):")
        say("\n".join(f"  {one.path}" for one in group.photographs))
    extra = sum(len(group.photographs) - 1 for group in groups)
    say(f"{len(found):,} photographs, {counted(len(groups), 'group', 'groups')}: {extra:,} could go")
    if command.json is not None:
        told = [
            {
                "kind": group.kind,
                "similarity": group.similarity,
                "labels": group.labels,
                "photographs": [{"path": one.path, "label": one.label} for one in group.photographs],
            }
            for group in groups
        ]
        _write(json.dumps(told, indent=2, ensure_ascii=False) + "\n", command.json)
    if command.html is not None:
        _write(duplicates_page(groups, embedder.preprocessing.read), command.html)


def remove(command: SearchCommand) -> None:
    """Remove photographs from an index."""
    with Index.open(command.index) as opened:
        ids = _named(opened, command)
        say(f"{counted(opened.remove(ids), 'photograph', 'photographs')} removed, {len(opened):,} are left")


def info(command: SearchCommand) -> None:
    """Say what is in an index."""
    with Index.open(command.index) as opened:
        told = opened.info()
        if command.json is not None:
            _write(json.dumps(told, indent=2) + "\n", command.json)
        for name, value in told.items():
            if name == "calibration":
                continue
            if isinstance(value, dict):
                value = ", ".join(f"{key} {inner}" for key, inner in value.items())
            say(f"{name:<14}{value}")
        _tell_calibration(opened.calibration)


def verify(command: SearchCommand) -> None:
    """Look whether an index is whole. UserError if not, or if files are others than they were."""
    with Index.open(command.index) as opened:
        found = opened.verify()
        for fault in found.faults:
            say(f"damaged: {fault}")
        for item in found.changed:
            say(f"changed: {item.path}")
        for item in found.gone:
            say(f"gone: {item.path}")
        wrong = [
            f"{len(items):,} {what}" for items, what in ((found.changed, "changed"), (found.gone, "gone")) if items
        ]
        if found.faults:
            raise UserError(f"{command.index} is damaged: make it anew")
        if wrong:
            raise UserError(
                f"{command.index}: of {len(opened):,} files {' and '.join(wrong)}: `add` takes changed ones in,"
                " `remove --gone` lets the others go"
            )
        say(f"{command.index}: {counted(len(opened), 'photograph', 'photographs')}, all as they were")


def serve(command: SearchCommand) -> None:
    """Serve the page until the program is ended."""
    from dml.page.server import PageServer

    with Index.open(command.index, command.ckpt) as opened:
        say(f"{command.index}: {opened.embedder.description}, on {opened.embedder.device}")
        with PageServer(opened, host=command.host, port=command.port) as server:
            if not server.is_local:
                say(f"who reaches {command.host} sees the photographs of the index, and needs no password")
            say(f"{server.address}  (Ctrl-C ends it)")
            server.serve_forever()


def _grow(index: Index, places: tuple[Path, ...], label: str | None) -> Growth:
    found = photographs_in(places, label=label)
    with tqdm(total=len(found), unit=" photographs", leave=False, disable=None) as bar:
        growth = index.add(found, progress=lambda done, _: bar.update(done - bar.n))
    warn_of_unreadable(list(growth.faults), len(found))
    added = growth.added
    parts = [f"{counted(len(added.ids), 'photograph', 'photographs')} added"]
    for number, what in (
        (added.replaced, "of them in place of what had changed"),
        (added.known, "there already"),
        (added.copies, "copies of others"),
    ):
        parts += [f"{number:,} {what}"] if number else []
    say(f"{index.folder}: {', '.join(parts)}; {len(index):,} in all, of {len(index.store.labels()):,} products")
    return growth


def _calibrate(index: Index, command: SearchCommand) -> None:
    _tell_calibration(index.calibrate(command.held_out or None, precision=command.precision))


def _tell_calibration(found: Calibration | None) -> None:
    if found is None:
        say("not calibrated: every photograph gets a name, however unlike it is")
        return
    asked = f"{found.photographs:,} of products that are there, {found.unknown:,} of products that are not"
    say(f"calibrated on {found.how} ({asked}; {found.items:,} in the index), in per cent:")
    say("precision  reached  threshold  wrong of all  refused of known  named of unknown")
    rows = [(found.precision, found.chosen), *zip(SHOWN, found.others, strict=True)]
    for place, (precision, point) in enumerate(rows):
        say(_row(precision, point) + ("  <- chosen" if place == 0 else ""))


def _row(precision: float, point: Point) -> str:
    shares = [100 * share for share in (point.wrong, point.refused, point.named_unknown)]
    return f"{100 * precision:9.1f}  {100 * point.precision:7.1f}  {point.threshold:9.3f}  {shares[0]:12.1f}" + (
        f"  {shares[1]:16.1f}  {shares[2]:16.1f}"
    )


def _tell_recall(index: Index) -> None:
    if index.finder.settings.name != EXACT and len(index):
        say(f"{index.finder.settings.name} finds {100 * index.finder.recall():.1f} % of the 10 nearest photographs")


def _lines(path: Path, answer: Answer) -> list[str]:
    if not answer.names:
        return [f"{path.name}: the nearest photographs", *map(_line, answer.nearest)]
    best = answer.names[0]
    verdict = best.name if not answer.is_unknown else f"unknown? (below the threshold of {answer.threshold:.3f})"
    lines = [f"{path.name}: {verdict}"]
    for name in answer.names:
        lines += [f"  {name.score:.3f}  {name.name}  ({name.photographs[0].item.path})"]
    return lines


def _line(found: Found) -> str:
    return f"  {found.similarity:.3f}  {found.item.path}" + ("" if found.state == "present" else f"  ({found.state})")


def _plain(answer: Answer) -> dict[str, Any]:
    def photograph(found: Found) -> dict[str, Any]:
        item = found.item
        return {"path": item.path, "label": item.label, "similarity": found.similarity, "state": found.state}

    return {
        "unknown": answer.is_unknown,
        "threshold": answer.threshold,
        "names": [
            {"name": name.name, "score": name.score, "photographs": list(map(photograph, name.photographs))}
            for name in answer.names
        ],
        "nearest": list(map(photograph, answer.nearest)),
    }


def _named(index: Index, command: SearchCommand) -> list[int]:
    """Ids of the items that a command line names."""
    ids = [] if command.label is None else index.store.ids_of(command.label)
    if command.label is not None and not ids:
        raise UserError(f"--label {command.label}: no photograph of that product is in {command.index}")
    items = index.store.every_item() if command.places or command.gone else []
    for place in command.places:
        inside = [item.id for item in items if Path(item.path).is_relative_to(place.absolute())]
        if not inside:
            raise UserError(f"{place}: no photograph of that place is in {command.index}")
        ids += inside
    return ids + [item.id for item in items if command.gone and state_of(item) == GONE]


def _write(text: str, file: Path) -> None:
    write_text_atomically(text, file)
    print(file, file=sys.stderr)


_RUN: dict[str, Callable[[SearchCommand], None]] = {
    "index": index,
    "add": add,
    "query": query,
    "calibrate": calibrate,
    "duplicates": duplicates,
    "remove": remove,
    "info": info,
    "verify": verify,
    "serve": serve,
}
