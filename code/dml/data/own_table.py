"""A user's list of images and labels, as people and spreadsheets write it."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from dml.data.layout import DatasetError, class_folders
from dml.data.own_classes import class_name
from dml.data.own_splits import SPLITS, UNSPLIT, split_of
from dml.data.records import ImageRecords
from dml.places import expanded

SUFFIXES = (".csv", ".tsv")
# What is looked for → how its column may be called, in any case; the first name wins over the others.
COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "class_name", "category"),
    "split": ("split", "subset"),
}
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_HEADER_BYTES = 2**16  # that are looked at to tell a list from other tables


def table_in(data_dir: Path) -> Path | None:
    """``data_dir`` itself if it is a file, else the one list of images directly in it; None: there is none.

    A list has a column for paths and one for labels. Beside class folders other tables are passed over.

    Raises:
        DatasetError: another kind of file; several lists; tables that are no lists, and no class folders.
    """
    if data_dir.is_file():
        if data_dir.suffix.lower() not in SUFFIXES:
            raise DatasetError(f"{data_dir} is neither a folder nor a .csv or .tsv file")
        return data_dir
    lists = lists_in(data_dir)
    if len(lists) > 1:
        names = ", ".join(path.name for path in lists)
        raise DatasetError(
            f"{data_dir} holds {len(lists)} CSV files that list images ({names}): name one by --data-dir"
        )
    if lists:
        return lists[0]
    others = _tables_in(data_dir)
    if others and not class_folders(data_dir):
        read_table(others[0])  # says what it lacks
    return None


def lists_in(data_dir: Path) -> list[Path]:
    """The tables directly in a folder that have the columns of a list of images, sorted; [] if no folder."""
    return [path for path in _tables_in(data_dir) if _is_list(path)]


def _tables_in(data_dir: Path) -> list[Path]:
    """The tables directly in a folder, sorted, hidden ones left out."""
    if not data_dir.is_dir():
        return []
    found = (path for path in data_dir.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in found if not path.name.startswith("."))


def _is_list(table: Path) -> bool:
    with table.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    header = _header(_decoded(head, errors="replace"))[0]
    return {"path", "label"} <= set(_columns(header))


def read_table(table: Path) -> dict[str, ImageRecords]:
    """Split → records of a list of images; {UNSPLIT: records} of one without a column ``split``.

    Its values are separated by commas, semicolons, tabs or bars, in UTF-8 or UTF-16. Columns may be called as in
    ``COLUMNS`` and stand in any order. Blanks around values mean nothing, nor do empty lines. Paths are absolute or
    relative to the table; a backslash may stand for a slash. One look at the file system per row.

    Raises:
        DatasetError: no such table, or a row that does not fit; the message names the line.
    """
    try:
        text = _decoded(table.read_bytes())
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{table} is no CSV file in UTF-8: {error}. Save it as UTF-8 ('CSV UTF-8' in a spreadsheet)"
        ) from error
    header, separator = _header(text)
    columns = _settled(_columns(header), header, table)
    found: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for line, row in _rows(text, separator, table):
        where = f"{table}, line {line}"
        if any(map(str.strip, row[len(header) :])):
            raise DatasetError(f"{where}: {_too_many(text, line, len(row), header, columns['label'], separator)}")
        values = {name: row[place].strip() if place < len(row) else "" for name, place in columns.items()}
        image, label, split = _read_row(values, table.parent, where)
        paths, labels = found[split]
        paths.append(image)
        labels.append(label)
    if not found:
        raise DatasetError(f"{table} lists no images")
    return {split: ImageRecords.from_classes(*pair) for split, pair in found.items()}


def _decoded(content: bytes, errors: str = "strict") -> str:
    """UTF-16, marked or not, or UTF-8, which spreadsheets mark too."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors)
    zeros = [content[place : place + 1] == b"\0" for place in (0, 1)]
    unmarked = {(True, False): "utf-16-be", (False, True): "utf-16-le"}
    return content.decode(unmarked.get(tuple(zeros), "utf-8-sig"), errors)


def _header(text: str) -> tuple[list[str], str]:
    """The names in the first line that is not empty, and the separator by which it names most of what is sought."""
    lines = (line for line in text[:_HEADER_BYTES].splitlines() if line.strip())
    first = next(lines, "")
    if told := re.fullmatch(r"sep=(.)", first.strip("\r\n")):  # how Excel is told of the separator
        first, candidates = next(lines, ""), told[1]
    else:
        candidates = "".join(SEPARATORS)

    def names(separator: str) -> list[str]:
        row = next(csv.reader([first], delimiter=separator, skipinitialspace=True), [])
        return [name.strip() for name in row]

    separator = max(candidates, key=lambda separator: (len(_columns(names(separator))), len(names(separator))))
    header = names(separator)
    while header and not header[-1]:  # a spreadsheet's empty columns
        header.pop()
    return header, separator


def _columns(header: Sequence[str]) -> dict[str, list[int]]:
    """What is sought → the columns that may be meant; without what none is meant by."""
    lower = [name.lower() for name in header]
    found = {}
    for sought, names in COLUMNS.items():
        first = [place for place, name in enumerate(lower) if name == names[0]]
        places = first or [place for place, name in enumerate(lower) if name in names]
        if places:
            found[sought] = places
    return found


def _settled(columns: dict[str, list[int]], header: Sequence[str], table: Path) -> dict[str, int]:
    """What is sought → its one column. DatasetError for what is missing or meant by several."""
    there = ", ".join(header) or "none"
    for sought in ("label", "path"):
        if sought not in columns:
            raise DatasetError(
                f"{table} has no column {sought!r}; its columns: {there}. Line 1 must be path,label or path,label,split"
            )
    for sought, places in columns.items():
        if len(places) > 1:
            names = " and ".join(repr(header[place]) for place in places)
            raise DatasetError(f"{table}: the columns {names} may both be {sought!r}: call one of them otherwise")
    return {sought: places[0] for sought, places in columns.items()}


def _rows(text: str, separator: str, table: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows after the header that are not empty, with the numbers of their lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
    is_header, line = True, 1
    try:
        for row in reader:
            if any("\n" in value.strip() for value in row):
                raise DatasetError(f"{table}, line {line}: a quotation mark is opened and not closed in its line")
            line = reader.line_num + 1
            if not any(map(str.strip, row)) or (is_header and re.fullmatch(r"sep=.?", "".join(row))):
                continue
            if not is_header:
                yield reader.line_num, row
            is_header = False
    except csv.Error as error:
        raise DatasetError(f"{table}, line {line}: {error}") from error


def _too_many(text: str, line: int, number: int, header: Sequence[str], label: int, separator: str) -> str:
    """What is wrong with a row of more values than the header names: most likely a separator in its label."""
    written = re.split(r"\r\n|\r|\n", text)[line - 1].split(separator)
    quoted = separator.join(written[label : label + number - len(header) + 1]).strip()
    name = SEPARATORS.get(separator, separator)
    return (
        f"{number} values for the {len(header)} columns {', '.join(header)}. A label with a {name} in it needs"
        f' quotation marks: "{quoted}"'
    )


def _read_row(values: dict[str, str], folder: Path, where: str) -> tuple[str, str, str]:
    """Image path, class name and split of a row; ``where`` is what error messages name."""
    path, label = values["path"], class_name(values["label"])
    if not path or not label:
        raise DatasetError(f"{where}: path or label is empty")
    image = _file_of(path, folder)
    if image is None:
        hint = " (a path of Windows: write it relative to the table)" if re.match(r"[A-Za-z]:[\\/]", path) else ""
        raise DatasetError(f"{where}: no such file: {folder / path}{hint}")
    if "split" not in values:
        return image, label, UNSPLIT
    split = split_of(values["split"])
    if split is None:
        raise DatasetError(f"{where}: split {values['split']!r} is none of {', '.join(SPLITS)}")
    return image, label, split


def _file_of(path: str, folder: Path) -> str | None:
    """The file that a row means; None: there is none."""
    for spelling in dict.fromkeys((path, path.replace("\\", "/"))):
        file = folder / expanded(spelling)
        if file.is_file():
            return str(file)
    return None
