"""Which images make up the batches of an epoch (METHODS §19).

A sampler plans a whole epoch at once: ``plan(epoch)`` is a (num_batches, batch) array of dataset indices, a
function of the seed and the epoch alone. So the number of loader workers cannot change it, every process of a
distributed run derives the same plan and takes its own slice, and a resumed run continues it exactly.
Planning costs O(N + num_batches · (C + batch)) and no Python loop, but for the samplers that look at features
(``dml.data.feature_sampler``), whose plans depend on those too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

from dml.data.batch_matching import DistanceHistogramSampler, FrechetSampler
from dml.data.class_members import ClassMembers, check_batch_size, check_images_per_class, classes_per_batch
from dml.data.coreset_samplers import D2CoresetSampler, GreedyCoresetSampler
from dml.errors import UserError
from dml.registry import Registry


class Sampler(Protocol):
    """Plans the batches of an epoch.

    Attributes:
        images_per_batch: known without a plan.
    """

    images_per_batch: int

    def plan(self, epoch: int) -> np.ndarray:
        """(num_batches, images_per_batch) int64 indices into the data set."""
        ...


@runtime_checkable
class FeatureSampler(Sampler, Protocol):
    """Plans by what the network makes of the images, which it is told before each plan."""

    def set_features(self, features: np.ndarray) -> None:
        """Take (N, D) features of the images, in the order of their indices, for the plans to come."""
        ...


class RandomSampler:
    """Every image at most once per epoch, in random order; the last incomplete batch is dropped.

    Args:
        labels: (N,) int64.
        batch_size: images per batch, at most N.
        seed: plans are a function of it and the epoch.

    Raises:
        UserError: fewer images than one batch.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, seed: int = 0):
        check_batch_size(len(labels), batch_size)
        self.num_images, self.images_per_batch, self.seed = len(labels), batch_size, seed

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, batch_size) int64, no index twice."""
        num_batches = self.num_images // self.images_per_batch
        order = np.random.default_rng([self.seed, epoch]).permutation(self.num_images)
        return order[: num_batches * self.images_per_batch].reshape(num_batches, self.images_per_batch)


class ClassBalancedBatchSampler:
    """Batches of ``batch_size // images_per_class`` distinct classes, each with that many images.

    Images of a class are drawn with replacement and stand together. If ``images_per_class`` does not divide
    ``batch_size`` the batch is smaller: classes · images_per_class. N // batch_size batches an epoch.

    NOTE: the published sampler can leave out a label, which nothing published asks of it.

    Args:
        labels: (N,) int64.
        batch_size: upper bound of images per batch.
        images_per_class: drawn per class (``--IPC``).
        seed: plans are a function of it and the epoch.

    Raises:
        UserError: more classes per batch than there are, or fewer images than one batch.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, images_per_class: int, seed: int = 0):
        check_batch_size(len(labels), batch_size)
        self.classes = ClassMembers(labels)
        self.classes_per_batch = classes_per_batch(batch_size, images_per_class, len(self.classes))
        self.num_batches = len(labels) // batch_size
        self.images_per_class, self.seed = images_per_class, seed
        self.images_per_batch = self.classes_per_batch * images_per_class

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, classes_per_batch · images_per_class) int64, grouped by class."""
        rng = np.random.default_rng([self.seed, epoch])
        classes = self.classes.distinct(rng, self.num_batches, self.classes_per_batch)
        return self.classes.members(rng, classes.repeat(self.images_per_class, axis=1))


class BalancedSampler(ClassBalancedBatchSampler):
    """A stream of class-balanced groups, cut into batches of exactly ``batch_size``; the rest is dropped.

    Where ``images_per_class`` divides ``batch_size`` this is ``ClassBalancedBatchSampler``.

    NOTE: where it does not, groups are shorter than batches, so batches straddle groups and a class can occur
    in a batch more than ``images_per_class`` times. Kept as published.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, images_per_class: int, seed: int = 0):
        super().__init__(labels, batch_size=batch_size, images_per_class=images_per_class, seed=seed)
        stream = self.num_batches * self.classes_per_batch * images_per_class
        if stream < batch_size:
            raise UserError(
                f"--IPC {images_per_class} does not divide --batch-size {batch_size}, and {len(labels)} images give"
                f" {stream} in whole groups, fewer than one batch: choose an --IPC that divides it"
            )
        self.images_per_batch = batch_size

    def plan(self, epoch: int) -> np.ndarray:
        """(number of whole batches, batch_size) int64."""
        stream = super().plan(epoch).ravel()
        num_batches = len(stream) // self.images_per_batch
        return stream[: num_batches * self.images_per_batch].reshape(num_batches, self.images_per_batch)


class PowerBalancedSampler:
    """Each image of a batch draws its class with probability ∝ (class size)^power, then a uniform member.

    ``power`` 0 is uniform over classes, 1 uniform over images; classes and images repeat freely.

    Args:
        labels: (N,) int64.
        batch_size: images per batch, at most N.
        power: exponent (``--p``), 0.2 as published.
        seed: plans are a function of it and the epoch.

    Raises:
        UserError: fewer images than one batch.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, power: float = 0.2, seed: int = 0):
        check_batch_size(len(labels), batch_size)
        self.classes = ClassMembers(labels)
        weights = self.classes.counts.astype(np.float64) ** power
        self.probabilities = weights / weights.sum()  # (C,)
        self.num_batches, self.images_per_batch, self.seed = len(labels) // batch_size, batch_size, seed

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, batch_size) int64."""
        rng = np.random.default_rng([self.seed, epoch])
        shape = (self.num_batches, self.images_per_batch)
        classes = rng.choice(len(self.classes), size=shape, p=self.probabilities)
        return self.classes.members(rng, classes)


class ClassRandomSampler:
    """Batches of ``batch_size // images_per_class`` classes drawn with replacement, each with that many images.

    A class can occur twice in a batch, and so can an image. N // batch_size batches an epoch.

    NOTE: the published sampler shortens a batch by each class without an image; here such classes do not exist.

    Args:
        labels: (N,) int64.
        batch_size: upper bound of images per batch, at most N.
        images_per_class: drawn per class (``--samples_per_class``).
        seed: plans are a function of it and the epoch.

    Raises:
        UserError: fewer images than one batch, or a batch smaller than ``images_per_class``.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, images_per_class: int, seed: int = 0):
        check_batch_size(len(labels), batch_size)
        check_images_per_class(batch_size, images_per_class)
        self.classes = ClassMembers(labels)
        self.num_batches, self.images_per_class, self.seed = len(labels) // batch_size, images_per_class, seed
        self.classes_per_batch = batch_size // images_per_class
        self.images_per_batch = self.classes_per_batch * images_per_class

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, classes_per_batch · images_per_class) int64, grouped by class."""
        rng = np.random.default_rng([self.seed, epoch])
        return self.classes.groups(rng, (self.num_batches, self.classes_per_batch), self.images_per_class)


class FullRandomSampler:
    """Each image of a batch is a uniform member of a uniform class; the last one is of the class of another.

    So every batch has at least one pair. Classes and images repeat freely. N // batch_size batches an epoch.

    Args:
        labels: (N,) int64.
        batch_size: images per batch, 2 … N.
        seed: plans are a function of it and the epoch.

    Raises:
        UserError: fewer images than one batch, or batches of one image.
    """

    def __init__(self, labels: np.ndarray, *, batch_size: int, seed: int = 0):
        check_batch_size(len(labels), batch_size)
        if batch_size < 2:
            raise UserError("--sampler full_random puts a pair into each batch: --batch-size must be at least 2")
        self.classes = ClassMembers(labels)
        self.num_batches, self.images_per_batch, self.seed = len(labels) // batch_size, batch_size, seed

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, batch_size) int64."""
        rng = np.random.default_rng([self.seed, epoch])
        classes = rng.integers(len(self.classes), size=(self.num_batches, self.images_per_batch))
        other = rng.integers(self.images_per_batch - 1, size=self.num_batches)
        classes[:, -1] = classes[np.arange(self.num_batches), other]
        return self.classes.members(rng, classes)


SAMPLERS: Registry[Callable[..., Sampler]] = Registry(
    "sampler",
    {
        "random": RandomSampler,
        "class_balanced": ClassBalancedBatchSampler,
        "balanced": BalancedSampler,
        "power_balanced": PowerBalancedSampler,
        "class_random": ClassRandomSampler,
        "full_random": FullRandomSampler,
        "greedy_coreset": GreedyCoresetSampler,
        "d2_coreset": D2CoresetSampler,
        "fid_batchmatch": FrechetSampler,
        "disthist_batchmatch": DistanceHistogramSampler,
    },
)
