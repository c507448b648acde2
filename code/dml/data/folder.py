"""A user's own images: class folders, ``train/`` and ``test/``, or a CSV list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from dml.data.known_classes import EveryImageData, KnownClassesData, queries_of_every_class
from dml.data.layout import (
    DatasetError,
    DatasetSpec,
    require_classes,
    split_classes,
)
from dml.data.own_data import read_own_data
from dml.data.own_images import turned_upright
from dml.data.own_splits import EVERY_SPLIT, RETRIEVAL, UNSPLIT
from dml.data.records import ImageRecords, RetrievalData
from dml.data.screening import Screening, screened

RECALL_KS = (1, 2, 4, 8, 16, 32)
HOW_TO_GIVE = (
    "Give your own images with --data-dir: a folder with one folder per class, or with train/ and test/, or "
    "a CSV file path,label[,split]"
)


def load_folder(
    data_dir: Path, screening: Screening | None = None, split: str = "classes"
) -> RetrievalData | EveryImageData:
    """Images in one of these forms, looked for in this order:

    * a CSV file ``path,label[,split]`` with a header: ``data_dir`` itself or the one such list in it (see
      :func:`dml.data.own_table.read_table`); splits are train, test, query, gallery, val;
    * ``train/<class>/`` and ``test/<class>/``, or ``query/`` and ``gallery/`` in place of ``test/``, and
      perhaps ``val/``, in any case and by the names of :mod:`dml.data.own_splits`;
    * ``<class>/``.

    Without splits the first half of the classes, sorted by name, trains and the rest tests; or as ``split`` says. The
    images are turned upright.

    Args:
        screening: how the images are checked; None: no file is opened.
        split: ``classes``; ``images``: every class trains, and a seeded fifth of each one's images is searched in the
            rest; ``all``: every image of every split trains, and nothing is tested.

    Raises:
        DatasetNotFoundError: if ``data_dir`` does not exist.
        DatasetError: if there are no images, too few classes, an unusable list, or folders that are splits but not
            such as retrieval needs; the message says where. See also ``Screening``.

    Warns:
        DatasetWarning: files and class folders that are passed over (not with a CSV file, which names its images);
            folders and class names that may be meant otherwise. See also ``Screening``.
    """
    splits, source = read_own_data(data_dir, EVERY_SPLIT if split == "all" else RETRIEVAL, HOW_TO_GIVE)
    if split == "all":
        data = EveryImageData("folder", _joined(splits.values()))
        require_classes(data.train, source)
        return turned_upright(screened(data, source, screening))
    if split == "classes" or set(splits) != {UNSPLIT}:
        return turned_upright(screened(_assemble("folder", splits, source), source, screening))
    records, left_out = splits[UNSPLIT], ()
    require_classes(records, source)
    if screening is not None:  # before the draw, so that a file that was left out may be deleted
        kept, left_out = screening({UNSPLIT: records}, source.parent if source.is_file() else source)
        records = kept[UNSPLIT]
    train, query = queries_of_every_class(records)
    data = KnownClassesData("folder", train, query, None, None, RECALL_KS, by_rule=True, left_out=left_out)
    return turned_upright(data)


def _assemble(name: str, splits: dict[str, ImageRecords], source: Path) -> RetrievalData:
    """Retrieval data from split → records; ``source`` is what error messages name."""
    if set(splits) == {UNSPLIT}:
        require_classes(splits[UNSPLIT], source, needed=4)
        return RetrievalData(name, *split_classes(splits[UNSPLIT]), None, None, RECALL_KS, by_rule=True)
    searched = {"test"} if "test" in splits else {"query", "gallery"}
    for split in sorted({"train", *searched} - set(splits)):
        unused = "; a validation split chooses the epoch, and nothing is tested on it" if "val" in splits else ""
        raise DatasetError(f"{source} has no split {split!r}: give train and test, or train, query and gallery{unused}")
    for split in sorted(set(splits) - {"train", "val", *searched}):
        raise DatasetError(f"{source} has the splits 'test' and {split!r}: give test, or query and gallery")
    for split, records in splits.items():
        require_classes(records, f"{source} (split {split!r})")
    if "test" in splits:
        query, gallery = splits["test"], None
    else:
        query, gallery = _under_one_numbering(splits["query"], splits["gallery"])
    return RetrievalData(name, splits["train"], query, gallery, splits.get("val"), RECALL_KS)


def _joined(parts: Iterable[ImageRecords]) -> ImageRecords:
    """The images of all ``parts``, one that is in several once, under the union of their classes."""
    classes = {
        path: part.class_names[label] for part in parts for path, label in zip(part.paths, part.labels, strict=True)
    }
    return ImageRecords.from_classes(list(classes), list(classes.values()))


def _under_one_numbering(*parts: ImageRecords) -> list[ImageRecords]:
    """The same records, labels and class names shared: the union of their classes, sorted by name."""
    shared = sorted({name for part in parts for name in part.class_names})
    return [
        replace(part, labels=np.searchsorted(shared, part.class_names)[part.labels], class_names=tuple(shared))
        for part in parts
    ]


SPEC = DatasetSpec(
    name="folder",
    load=load_folder,
    recall_ks=RECALL_KS,
    official={},
    fetch=HOW_TO_GIVE,
)
