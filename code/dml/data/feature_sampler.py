"""What the samplers that look at the images' features share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from dml.data.class_members import ClassMembers, check_batch_size, check_images_per_class
from dml.errors import UserError

SIMILARITY_MEASURES = ("euclidean", "cosine")


class PoolSampler(ABC):
    """Composes each batch by what the network makes of the images (Roth et al., ICML 2020, and their repository).

    The features are handed over by ``set_features`` before an epoch is planned. A plan is a function of seed, epoch
    and features.

    NOTE: the published plans come from sixteen processes with random states of their own, so no seed repeats them.

    Args:
        labels: (N,) int64.
        batch_size: upper bound of images per batch, at most N.
        images_per_class: images of a class that stand together in a batch.
        seed: plans are a function of it, the epoch and the features.
        pool_size: P, images that a batch is chosen from (``--data_batchmatch_bigbs``), drawn anew for each batch.
        projection_size: features are projected at random to this many dimensions first; −1: not.
        similarity: "euclidean" takes features as they are, "cosine" brings them to unit length.
            NOTE: the published code reads ``--data_sim_measure`` and uses it nowhere.

    Raises:
        ValueError: fewer images than one batch, a batch without room for a class, a pool smaller than a batch is
            chosen from, or a value out of range.
    """

    def __init__(
        self,
        labels: np.ndarray,
        *,
        batch_size: int,
        images_per_class: int,
        seed: int = 0,
        pool_size: int = 512,
        projection_size: int = -1,
        similarity: str = "euclidean",
    ):
        check_batch_size(len(labels), batch_size)
        check_images_per_class(batch_size, images_per_class)
        _check_choice(similarity, SIMILARITY_MEASURES)
        if projection_size != -1 and projection_size < 1:
            raise UserError(f"--data_sampler_lowproj_dim must be −1 or at least 1, got {projection_size}")
        self.classes, self.num_images, self.seed = ClassMembers(labels), len(labels), seed
        self.num_batches, self.images_per_class = len(labels) // batch_size, images_per_class
        self.classes_per_batch = batch_size // images_per_class
        self.images_per_batch = self.classes_per_batch * images_per_class
        self.pool_size, self.projection_size, self.similarity = pool_size, projection_size, similarity
        self.features: np.ndarray | None = None
        if pool_size < self.smallest_pool():
            raise UserError(f"--data_batchmatch_bigbs must be at least {self.smallest_pool()} here, got {pool_size}")

    @abstractmethod
    def smallest_pool(self) -> int:
        """The fewest images that a batch can be chosen from."""

    def set_features(self, features: np.ndarray) -> None:
        """Take (N, D) features of the images, in the order of their indices, for the plans to come.

        Raises:
            ValueError: another number of rows than images.
        """
        if features.ndim != 2 or len(features) != self.num_images:
            raise ValueError(f"{self.num_images} images need as many rows of features, got {features.shape}")
        if self.similarity == "cosine":
            features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        self.features = features

    def pool_features(self, rng: np.random.Generator, pool: np.ndarray) -> np.ndarray:
        """(P, D) float64 features of the images ``pool`` (P,), projected at random where that is asked for.

        The projection is a new one for each batch, its entries uniform in ±1/√D.
        """
        if self.features is None:
            raise ValueError("this sampler looks at the images' features: call set_features before plan")
        features = self.features[pool].astype(np.float64)
        if self.projection_size == -1:
            return features
        bound = 1 / np.sqrt(features.shape[1])
        return features @ rng.uniform(-bound, bound, size=(features.shape[1], self.projection_size))

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, classes_per_batch · images_per_class) int64, grouped by class.

        Raises:
            ValueError: no features yet.
        """
        rng = np.random.default_rng([self.seed, epoch])
        return np.stack([self._batch(rng) for _ in range(self.num_batches)])

    @abstractmethod
    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        """(images_per_batch,) int64."""


def _check_choice(similarity: str, choices: Sequence[str]) -> None:
    if similarity not in choices:
        raise UserError(f"--data_sim_measure {similarity!r} is not one of {', '.join(choices)}")
