"""Which photographs a user names, and what they show: class folders, a list, a flat folder, or single files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from dml.data.layout import DatasetWarning, images_below, is_image
from dml.data.own_classes import class_name
from dml.data.own_images import counted, some, warn_of_left_out
from dml.data.own_splits import split_of
from dml.data.own_table import read_table, table_in
from dml.errors import UserError
from dml.places import from_home
from dml.search.items import Photograph


def photographs_in(places: Iterable[str | Path], *, label: str | None = None) -> list[Photograph]:
    """The photographs of all ``places``, each file once, in the order of the places.

    A place is the file of a photograph; a CSV list ``path,label``; or a folder: with such a list directly in it, that
    of the list; else the folder within it says what a photograph shows, ``oak/1.jpg`` or ``train/oak/1.jpg``, and one
    that lies in no such folder has no label. Takes two directory listings per folder; no photograph is opened.

    Args:
        label: what all of them show, whatever the folders say.

    Raises:
        UserError: a place that is not there, or holds no photograph; a list that cannot be used.

    Warns:
        DatasetWarning: files that are passed over.
    """
    found: dict[str, Photograph] = {}
    for place in map(from_home, places):
        here = list(_in_place(place))
        if not here:
            raise UserError(f"{place} holds no photograph")
        for photograph in here:
            found.setdefault(photograph.path, photograph)
    if label is None:
        return list(found.values())
    return [Photograph(path, class_name(label)) for path in found]


def _in_place(place: Path) -> Iterator[Photograph]:
    if not place.exists():
        raise UserError(f"{place} does not exist: name a photograph, a folder of them, or a list path,label")
    if place.is_file() and is_image(place.name):
        yield Photograph(_absolute(place))
        return
    table = table_in(place)
    if table is not None:
        for records in read_table(table).values():
            for path, number in zip(records.paths, records.labels.tolist(), strict=True):
                yield Photograph(_absolute(path), _text(records.class_names[number]))
        return
    warn_of_left_out(place)
    # As class folders are read for a training, but for what lies beside them, which has no label here.
    for path in images_below(place):
        inside = Path(path).relative_to(place).parts[:-1]
        if len(inside) > 1 and split_of(inside[0]) is not None:
            inside = inside[1:]
        yield Photograph(_absolute(path), _text(class_name(inside[0])) if inside else None)


def _absolute(path: str | Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 (Path.absolute keeps "..")


def _text(label: str) -> str:
    """A label as SQLite and pages can have it: names of folders need not be text."""
    return label.encode(errors="surrogateescape").decode(errors="replace")


def warn_of_unreadable(faults: list[tuple[str, str]], total: int) -> None:
    """Say which photographs could not be read, and why.

    Args:
        faults: path and reason of each.
        total: of how many.

    Warns:
        DatasetWarning: there are such.
    """
    if faults:
        which = some([f"{Path(path).name}: {reason}" for path, reason in faults])
        told = f"{len(faults):,} of {counted(total, 'photograph', 'photographs')} left out, for lack of readable pixels"
        warnings.warn(f"{told}: {which}", DatasetWarning)
