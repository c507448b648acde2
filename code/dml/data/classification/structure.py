"""What loaded data of a classification are: the same classes in training and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from dml.data.records import ImageRecords, LeftOut


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """The splits of a classification data set; all share the class names of ``train``, in its order.

    Attributes:
        name: the data set's name in the registry.
        train: images to learn from.
        test: images to judge by.
        val: images held out for model selection, or None.
        by_rule: whether a seeded draw, rather than the data themselves, says which images train.
        unused: of a continued run the images that it neither trains on nor is judged by, such as those of classes that
            are new since it began; None: none.
        left_out: what of a user's own images cannot be read, and is in no split.
    """

    NUMBERINGS: ClassVar = (("train", "val", "test"),)
    """As of ``RetrievalData``."""

    name: str
    train: ImageRecords
    test: ImageRecords
    val: ImageRecords | None = None
    by_rule: bool = False
    unused: ImageRecords | None = None
    left_out: tuple[LeftOut, ...] = ()

    @property
    def parts(self) -> dict[str, ImageRecords]:
        """Split → images, as ``split.csv`` names them."""
        held_out = {} if self.val is None else {"val": self.val}
        return {"train": self.train} | held_out | {"test": self.test}

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: ImageRecords | None) -> ClassificationData:
        """The same data set, split as ``parts`` says."""
        return replace(self, train=parts["train"], test=parts["test"], val=parts.get("val"), unused=unused)
