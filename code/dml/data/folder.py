"""A user's own images: class folders, ``train/`` and ``test/``, or a CSV list."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from dml.data.layout import (
    DatasetError,
    DatasetNotFoundError,
    DatasetSpec,
    class_folders,
    read_class_folders,
    require_classes,
    split_classes,
)
from dml.data.own_images import turned_upright, warn_of_left_out
from dml.data.records import ImageRecords, RetrievalData
from dml.data.screening import Screening, screened

RECALL_KS = (1, 2, 4, 8, 16, 32)
UNSPLIT = ""  # the key of images that belong to no named split
HOW_TO_GIVE = (
    "Give your own images with --data-dir: a folder with one folder per class, or with train/ and test/, or "
    "a CSV file path,label[,split]"
)
SPLITS = ("train", "test", "query", "gallery", "val")


def load_folder(data_dir: Path, screening: Screening | None = None) -> RetrievalData:
    """Images in one of these forms, looked for in this order:

    * a CSV file ``path,label[,split]`` with a header: ``data_dir`` itself or the one ``*.csv`` in it; paths
      are relative to the file, splits are train, test, query, gallery, val;
    * ``train/<class>/`` and ``test/<class>/``, or ``query/`` and ``gallery/`` in place of ``test/``, and
      perhaps ``val/``;
    * ``<class>/``.

    Without splits the first half of the classes, sorted by name, trains and the rest tests. The images are turned
    upright.

    Args:
        screening: how the images are checked; None: no file is opened.

    Raises:
        DatasetNotFoundError: if ``data_dir`` does not exist.
        DatasetError: if there are no images, too few classes or an unusable list; the message says where. See also
            ``Screening``.

    Warns:
        DatasetWarning: files and class folders that are passed over; not with a CSV file, which names its images. See
            also ``Screening``.
    """
    if not data_dir.exists():
        raise DatasetNotFoundError(f"dataset 'folder': {data_dir} does not exist. {HOW_TO_GIVE}")
    table = _csv_in(data_dir)
    if table is not None:
        try:
            data = _assemble("folder", _read_csv(table), table)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(f"{table} is no CSV file in UTF-8: {error}") from error
        return turned_upright(screened(data, table, screening))
    warn_of_left_out(data_dir, class_roots=list(_class_roots(data_dir).values()))
    return turned_upright(screened(load_class_folders("folder", data_dir), data_dir, screening))


def load_class_folders(name: str, root: Path) -> RetrievalData:
    """``root/<split>/<class>/`` or ``root/<class>/``; see :func:`load_folder`."""
    return _assemble(name, {split: read_class_folders(folder) for split, folder in _class_roots(root).items()}, root)


def _class_roots(root: Path) -> dict[str, Path]:
    """Split → the folder that holds its class folders."""
    present = set(class_folders(root)) & set(SPLITS)
    if present >= {"train", "test"} or present >= {"train", "query", "gallery"}:
        return {split: root / split for split in sorted(present)}
    return {UNSPLIT: root}


def _assemble(name: str, splits: dict[str, ImageRecords], source: Path) -> RetrievalData:
    """Retrieval data from split → records; ``source`` is what error messages name."""
    if set(splits) == {UNSPLIT}:
        require_classes(splits[UNSPLIT], source, needed=4)
        return RetrievalData(name, *split_classes(splits[UNSPLIT]), None, None, RECALL_KS)
    searched = {"test"} if "test" in splits else {"query", "gallery"}
    for split in sorted({"train", *searched} - set(splits)):
        raise DatasetError(f"{source} has no split {split!r}: give train and test, or train, query and gallery")
    for split in sorted(set(splits) - {"train", "val", *searched}):
        raise DatasetError(f"{source} has the splits 'test' and {split!r}: give test, or query and gallery")
    for split, records in splits.items():
        require_classes(records, f"{source} (split {split!r})")
    if "test" in splits:
        query, gallery = splits["test"], None
    else:
        query, gallery = _under_one_numbering(splits["query"], splits["gallery"])
    return RetrievalData(name, splits["train"], query, gallery, splits.get("val"), RECALL_KS)


def _under_one_numbering(*parts: ImageRecords) -> list[ImageRecords]:
    """The same records, labels and class names shared: the union of their classes, sorted by name."""
    shared = sorted({name for part in parts for name in part.class_names})
    return [
        replace(part, labels=np.searchsorted(shared, part.class_names)[part.labels], class_names=tuple(shared))
        for part in parts
    ]


def csv_files(data_dir: Path) -> list[Path]:
    """The CSV files directly in a folder, sorted, hidden ones left out."""
    return sorted(path for path in data_dir.glob("*.csv") if not path.name.startswith("."))


def _csv_in(data_dir: Path) -> Path | None:
    if data_dir.is_file():
        if data_dir.suffix.lower() != ".csv":
            raise DatasetError(f"{data_dir} is neither a folder nor a .csv file")
        return data_dir
    found = csv_files(data_dir)
    if len(found) > 1:
        raise DatasetError(f"{data_dir} holds {len(found)} CSV files: name one of them with --data-dir")
    return found[0] if found else None


def _read_csv(path: Path) -> dict[str, ImageRecords]:
    """Split → records. One look at the file system per row, to name the line of a missing file."""
    columns: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    # utf-8-sig: spreadsheets write a byte order mark.
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        for column in sorted({"path", "label"} - set(rows.fieldnames or ())):
            raise DatasetError(f"{path} has no column {column!r}: line 1 must be path,label or path,label,split")
        for row in rows:
            image, label, split = _read_row(row, path.parent, f"{path}, line {rows.line_num}")
            paths, labels = columns[split]
            paths.append(image)
            labels.append(label)
    if not columns:
        raise DatasetError(f"{path} lists no images")
    return {split: ImageRecords.from_classes(*pair) for split, pair in columns.items()}


def _read_row(row: dict[str, str | None], folder: Path, where: str) -> tuple[str, str, str]:
    """Image path, class name and split of a row; ``where`` is what error messages name."""
    if not row["path"] or not row["label"]:
        raise DatasetError(f"{where}: path or label is empty")
    image = folder / row["path"]
    if not image.is_file():
        raise DatasetError(f"{where}: no such file: {image}")
    split = row.get("split", UNSPLIT)
    if "split" in row and split not in SPLITS:
        raise DatasetError(f"{where}: split {split!r} is none of {', '.join(SPLITS)}")
    return str(image), row["label"], split


SPEC = DatasetSpec(
    name="folder",
    load=load_folder,
    recall_ks=RECALL_KS,
    official={},
    fetch=HOW_TO_GIVE,
)
