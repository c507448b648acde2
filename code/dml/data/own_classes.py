"""The names of a user's own classes: blanks around them mean nothing, and names that differ by little are said."""

from __future__ import annotations

import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from dml.data.layout import DatasetWarning
from dml.data.own_images import some
from dml.data.records import ImageRecords


def class_name(text: str) -> str:
    """A label or the name of a class folder without blanks around it.

    In Unicode's composed form: macOS writes the ``é`` of a folder's name as two characters, others as one.
    """
    return unicodedata.normalize("NFC", text).strip()


def own_classes(records: ImageRecords) -> ImageRecords:
    """``records`` with the class names of :func:`class_name`; classes that are then called the same are one."""
    names = np.array([class_name(name) for name in records.class_names], dtype=str)
    return ImageRecords.from_classes(records.paths, names[records.labels])


def warn_of_alike_classes(names: Iterable[str]) -> None:
    """Say which of the class names differ in capitals or blanks alone: they stay classes of their own.

    Warns:
        DatasetWarning: there are such.
    """
    alike: dict[str, set[str]] = defaultdict(set)
    for name in names:
        alike["".join(name.casefold().split())].add(name)
    groups = [" and ".join(map(repr, sorted(group))) for group in alike.values() if len(group) > 1]
    if groups:
        warnings.warn(f"classes that differ in capitals or blanks alone are kept apart: {some(groups)}", DatasetWarning)
