"""The members of each class, and what samplers ask of batch sizes."""

from __future__ import annotations

import numpy as np

from dml.data.distinct import distinct_in_rows
from dml.errors import UserError

_MOST_DRAWS = 2**26
_DRAWS_AT_ONCE = 2**20


class ClassMembers:
    """The members of each class, ready for vectorised draws."""

    def __init__(self, labels: np.ndarray):
        _, self.counts = np.unique(labels, return_counts=True)
        self.starts = np.cumsum(self.counts) - self.counts
        self.order = np.argsort(labels, kind="stable")

    def __len__(self) -> int:
        return len(self.counts)

    def distinct(self, rng: np.random.Generator, rows: int, number: int) -> np.ndarray:
        """(rows, number) classes, distinct within a row, uniform. Memory grows as rows · number.

        A number is drawn for each class of each row, and the classes of the smallest are taken, some rows at a time.
        NOTE: from 2²⁶ numbers on Floyd's algorithm draws instead: as uniform, and without a second of waiting for every
        2²⁶, but other classes. No published data set at its published batch sizes has so many: Stanford Online
        Products in batches of 120 takes 5.6 million.
        """
        if rows * len(self) >= _MOST_DRAWS:
            return distinct_in_rows(rng, rows, number, len(self))
        chosen = np.empty((rows, number), dtype=np.int64)
        size = max(1, _DRAWS_AT_ONCE // len(self))
        for start in range(0, rows, size):
            draws = rng.random((min(size, rows - start), len(self)))
            chosen[start : start + size] = np.argpartition(draws, number - 1, axis=1)[:, :number]
        return rng.permuted(chosen, axis=1)

    def members(self, rng: np.random.Generator, classes: np.ndarray) -> np.ndarray:
        """One uniform member of each class of ``classes``, any shape."""
        offsets = (rng.random(classes.shape) * self.counts[classes]).astype(np.int64)
        return self.order[self.starts[classes] + offsets]

    def distinct_members(self, rng: np.random.Generator, classes: np.ndarray, number: int) -> np.ndarray:
        """(…, number) distinct uniform members of each class of ``classes`` (…), which has at least as many.

        Grows with the largest class: meant for few members.
        """
        draws = rng.random((*classes.shape, self.counts.max()))
        draws[np.arange(draws.shape[-1]) >= self.counts[classes][..., None]] = np.inf
        offsets = np.argpartition(draws, number - 1, axis=-1)[..., :number]
        return self.order[self.starts[classes][..., None] + offsets]

    def groups(self, rng: np.random.Generator, shape: tuple[int, ...], images_per_class: int) -> np.ndarray:
        """Classes drawn with replacement, ``images_per_class`` members of each likewise.

        Returns:
            (…, shape[-1] · images_per_class) indices, those of a class beside each other.
        """
        classes = rng.integers(len(self), size=shape)
        return self.members(rng, classes.repeat(images_per_class, axis=-1))


def check_batch_size(num_images: int, batch_size: int) -> None:
    """UserError: fewer images than one batch."""
    if num_images < batch_size:
        raise UserError(
            f"the training set has {num_images} images, fewer than one batch: use --batch-size {num_images} or less"
        )


def classes_per_batch(batch_size: int, images_per_class: int, num_classes: int) -> int:
    """``batch_size // images_per_class``; UserError if there are not as many classes, or none fits."""
    number = batch_size // images_per_class
    if not 1 <= number <= num_classes:
        raise UserError(
            f"--batch-size {batch_size} with --IPC {images_per_class} asks for {number} classes per batch;"
            f" the training set has {num_classes}"
        )
    return number


def check_images_per_class(batch_size: int, images_per_class: int) -> None:
    """UserError: a batch has no room for one class."""
    if batch_size < images_per_class:
        raise UserError(
            f"--batch-size {batch_size} has no room for the {images_per_class} images of a class that --IPC asks for"
        )
