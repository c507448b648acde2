"""What loaded data of a classification are: the same classes in training and test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dml.data.layout import SplitSize
from dml.data.records import ImageRecords, LeftOut


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """The splits of a classification data set; all share the class names of ``train``, in its order.

    Attributes:
        name: the data set's name in the registry.
        train: images to learn from.
        test: images to judge by.
        val: images held out for model selection, or None.
        left_out: what of a user's own images cannot be read, and is in no split.
    """

    name: str
    train: ImageRecords
    test: ImageRecords
    val: ImageRecords | None = None
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True)
class ClassificationSpec:
    """What the registry knows of a data set.

    Attributes:
        name: its name here.
        load: data folder → splits; of a user's own images also how they are checked. Raises DatasetNotFoundError or
            DatasetError.
        official: published size of "train" and "test"; empty if there is none.
        fetch: how to get it, a command or a sentence.
        aliases: other spellings of the name.
    """

    name: str
    load: Callable[..., ClassificationData]
    official: Mapping[str, SplitSize]
    fetch: str
    aliases: tuple[str, ...] = ()
