"""What a loaded dataset is: lists of image files with labels, and the splits of a retrieval benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:  # whose import takes a second
    from torch import Tensor


class ImageKey(NamedTuple):
    """All that the pixels of an image file depend on besides its content; see ``read_image``."""

    path: str
    upright: bool
    bits: int | None


class KeptImages(Protocol):
    """Decoded images, see ``dml.data.image_cache``."""

    def array_of(self, key: ImageKey) -> np.ndarray | None:
        """(H, W, 3) uint8 RGB; None: it is not kept."""

    def tensor_of(self, key: ImageKey) -> Tensor | None:
        """The same as a tensor."""


@dataclass(frozen=True, eq=False)
class ImageRecords:
    """N image files with their classes; nothing is opened.

    Attributes:
        paths: N file paths.
        labels: (N,) int64 in 0..C−1.
        class_names: C names; name ``c`` belongs to label ``c``.
        upright: whether the images are turned as their EXIF orientation says when they are read.
        bits: how many bits the numbers of images of more than 8 bits fill, where their files do not state it; None: 16.
        cache: where decoded images are, if any are kept.

    Raises:
        ValueError: if the lengths differ or a label is out of range.
    """

    paths: tuple[str, ...]
    labels: np.ndarray
    class_names: tuple[str, ...]
    upright: bool = field(default=False, kw_only=True)
    bits: int | None = field(default=None, kw_only=True)
    cache: KeptImages | None = field(default=None, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.paths),):
            raise ValueError(f"{len(self.paths)} paths need as many labels, got shape {self.labels.shape}")
        if self.labels.dtype != np.int64:
            raise ValueError(f"labels must be int64, got {self.labels.dtype}")
        if len(self) and not (self.labels.min() >= 0 and self.labels.max() < self.num_classes):
            raise ValueError(f"labels must lie in 0..{self.num_classes - 1}")

    @classmethod
    def from_classes(cls, paths: Sequence[str], classes: Sequence[str] | Sequence[int]) -> ImageRecords:
        """Records of ``paths`` whose labels number the distinct values of ``classes`` in sorted order."""
        names, labels = np.unique(np.asarray(classes), return_inverse=True)
        return cls(tuple(paths), labels.astype(np.int64).reshape(-1), tuple(map(str, names)))

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.paths)

    def key(self, index: int) -> ImageKey:
        """What the pixels of image ``index`` depend on."""
        return ImageKey(self.paths[index], self.upright, self.bits)

    def class_counts(self) -> np.ndarray:
        """(C,) int64: the number of images of each class."""
        return np.bincount(self.labels, minlength=self.num_classes)

    def take(self, indices: np.ndarray | Sequence[int]) -> ImageRecords:
        """The records at ``indices``, in that order; every class keeps its label, left empty or not."""
        indices = np.asarray(indices, dtype=np.int64)
        return replace(self, paths=tuple(self.paths[i] for i in indices), labels=self.labels[indices])

    def select(self, indices: np.ndarray | Sequence[int]) -> ImageRecords:
        """The records at ``indices``, in that order, labels renumbered without the classes left empty."""
        taken = self.take(indices)
        kept, labels = np.unique(taken.labels, return_inverse=True)
        return replace(
            taken,
            labels=labels.astype(np.int64).reshape(-1),
            class_names=tuple(self.class_names[c] for c in kept),
        )


@dataclass(frozen=True, eq=False)
class PixelRecords(ImageRecords):
    """N images that are in memory already; their ``paths`` only name them.

    Attributes:
        pixels: (N, H, W, 3) uint8 RGB.

    Raises:
        ValueError: besides those of ``ImageRecords``, pixels of another shape or type.
    """

    pixels: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[::3] != (len(self), 3):
            raise ValueError(f"{len(self)} images need uint8 pixels (N, H, W, 3), got {self.pixels.shape}")

    def take(self, indices: np.ndarray | Sequence[int]) -> PixelRecords:
        """As of ``ImageRecords``; copies the pixels that are kept."""
        indices = np.asarray(indices, dtype=np.int64)
        paths = tuple(self.paths[i] for i in indices)
        return replace(self, paths=paths, labels=self.labels[indices], pixels=self.pixels[indices])


class LeftOut(NamedTuple):
    """A file of a user's own images that is not used.

    Attributes:
        path: relative to the images' folder, or to that of their list.
        reason: why it cannot be read.
    """

    path: str
    reason: str


class LabelNoise(NamedTuple):
    """The F training images that were given a wrong label.

    Attributes:
        indices: (F,) int64 positions among the training images, ascending.
        labels: (F,) int64 the wrong labels that they train with.
        true_labels: (F,) int64 their own.
    """

    indices: np.ndarray
    labels: np.ndarray
    true_labels: np.ndarray


@dataclass(frozen=True, eq=False)
class RetrievalData:
    """The splits of a retrieval benchmark; the classes of training and evaluation are disjoint.

    Attributes:
        name: the dataset's name in the registry.
        train: images to learn from.
        query: images to search with.
        gallery: images to search in, labels shared with ``query``; None: the queries themselves, each one
            left out by index when it is its own turn.
        val: images of training classes held out for model selection, searched among themselves; or None.
        recall_ks: the k of recall@k that are published for this dataset.
        label_noise: which training images have a wrong label on purpose; None: none.
        by_rule: whether a rule over the classes, rather than the data themselves, says which of them train.
        unused: of a continued run the images that it neither trains on nor is judged by, such as those of classes that
            are new since it began; None: none.
        ties_count_for_query: whether recall counts only the gallery items that are strictly nearer than the nearest
            of the query's class, a published rule by which embeddings that are all equal find everything.
        left_out: what of a user's own images cannot be read, and is in no split.
    """

    NUMBERINGS: ClassVar = (("train",), ("val",), ("test", "query", "gallery"))
    """Names of ``parts``, those together that number their classes alike."""

    name: str
    train: ImageRecords
    query: ImageRecords
    gallery: ImageRecords | None
    val: ImageRecords | None
    recall_ks: tuple[int, ...]
    label_noise: LabelNoise | None = None
    by_rule: bool = False
    unused: ImageRecords | None = None
    ties_count_for_query: bool = False
    left_out: tuple[LeftOut, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether the images are a user's own and not a benchmark's, which has a published protocol."""
        return self.name == "folder"

    @property
    def parts(self) -> dict[str, ImageRecords]:
        """Split → images under their own labels, as ``split.csv`` names them."""
        searched = dict(zip(self.searched, (self.query, self.gallery), strict=False))
        return {"train": self.train_as_it_is} | ({"val": self.val} if self.val is not None else {}) | searched

    @property
    def searched(self) -> tuple[str, ...]:
        """The names in ``parts`` of what is searched with and, if it is not the same, in."""
        return ("test",) if self.gallery is None else ("query", "gallery")

    @property
    def val_searched(self) -> tuple[str, ...]:
        """As ``searched``, of held-out images: among themselves."""
        return ("val",)

    @property
    def judging(self) -> tuple[str, ...]:
        """The names of the fields that hold what is searched with and in."""
        return "query", "gallery"

    def with_parts(self, parts: Mapping[str, ImageRecords], unused: ImageRecords | None) -> RetrievalData:
        """The same data set, split as ``parts`` says."""
        query = parts["query"] if "gallery" in parts else parts["test"]
        return replace(
            self,
            train=parts["train"],
            query=query,
            gallery=parts.get("gallery"),
            val=parts.get("val"),
            label_noise=None,
            unused=unused,
        )

    @property
    def train_as_it_is(self) -> ImageRecords:
        """The training images under their own labels, whatever label noise made of them."""
        noise = self.label_noise
        if noise is None:
            return self.train
        labels = self.train.labels.copy()
        labels[noise.indices] = noise.true_labels
        return replace(self.train, labels=labels)
