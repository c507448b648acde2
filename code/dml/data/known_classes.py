"""A user's own images where every class trains: some photographs of each are searched in the rest, or none are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from dml.data.layout import DatasetError
from dml.data.records import ImageRecords, LeftOut, RetrievalData
from dml.data.splits import held_images

QUERY_SHARE = 0.2  # of each class
QUERY_SEED = 0  # fixed, so that runs of every seed are judged by the same images


@dataclass(frozen=True, eq=False)
class KnownClassesData(RetrievalData):
    """Queries of the classes that train, searched in the training images: ``gallery`` is ``train``, whatever was given.

    ``split.csv`` has an image once, as ``train`` or ``query``.
    """

    NUMBERINGS: ClassVar = (("train", "val", "query"),)

    def __post_init__(self) -> None:
        object.__setattr__(self, "gallery", self.train_as_it_is)

    @property
    def parts(self) -> dict[str, ImageRecords]:
        """The training images, which are the gallery, those held out of them, and the queries."""
        val = {} if self.val is None else {"val": self.val}
        return {"train": self.train_as_it_is, **val, "query": self.query}

    @property
    def searched(self) -> tuple[str, ...]:
        """The queries, and what they are searched in."""
        return "query", "train"

    @property
    def val_searched(self) -> tuple[str, ...]:
        """Held-out images are searched in the training images, too."""
        return "val", "train"

    @property
    def judging(self) -> tuple[str, ...]:
        """As ``searched``."""
        return self.searched

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: ImageRecords | None) -> KnownClassesData:
        """The same data set, split as ``parts`` says."""
        kept = {"train": parts["train"], "query": parts["query"], "val": parts.get("val")}
        return replace(self, **kept, label_noise=None, unused=unused)


@dataclass(frozen=True, eq=False)
class EveryImageData:
    """A user's own images, all of which train, with their classes; nothing is tested.

    Attributes:
        name: ``folder``.
        train: all images.
        unused: as of ``RetrievalData``.
        left_out: what cannot be read, and is not in ``train``.
    """

    NUMBERINGS: ClassVar = (("train",),)
    by_rule: ClassVar = True
    val: ClassVar = None
    is_own: ClassVar = True

    name: str
    train: ImageRecords
    unused: ImageRecords | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def parts(self) -> dict[str, ImageRecords]:
        """All images."""
        return {"train": self.train}

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: ImageRecords | None) -> EveryImageData:
        """Those of ``parts``."""
        return replace(self, train=parts["train"], unused=unused)


def queries_of_every_class(records: ImageRecords) -> tuple[ImageRecords, ImageRecords]:
    """The images that train, and a fifth of each class's, rounded, for queries, in the same numbering; a class of one
    or two images has no query.

    Raises:
        DatasetError: no class has a query.
    """
    is_query = held_images(records.labels, QUERY_SHARE, np.random.default_rng(QUERY_SEED))
    if not is_query.any():
        raise DatasetError(
            "--split images: no class has three images, so that none can be searched in the rest: --split classes"
            " tests on other classes"
        )
    return records.take(np.flatnonzero(~is_query)), records.take(np.flatnonzero(is_query))
