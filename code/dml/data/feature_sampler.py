"""What the samplers that look at the images' features share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from dml.data.class_members import ClassMembers, check_batch_size, check_images_per_class

SIMILARITY_MEASURES = ("euclidean", "cosine")


class FeatureSampler(ABC):
    """Composes each batch by what the network makes of the images at the moment (Roth et al., ICML 2020).

    The features are handed over by ``set_features`` before an epoch is planned. A plan is a function of seed, epoch
    and features.

    NOTE: the publication names these samplers and cites where they come from, but defines none. The definitions
    here are of this project, after what is cited.

    Args:
        labels: (N,) int64.
        batch_size: upper bound of images per batch, at most N.
        images_per_class: images of a class that stand together in a batch.
        seed: plans are a function of it, the epoch and the features.
        pool_size: images that a batch is chosen from or held against (``--data_batchmatch_bigbs``).
        projection_size: features are projected at random to this many dimensions first; −1: not.
        similarity: "euclidean" takes features as they are, "cosine" brings them to unit length.
        full_precision: computes in float64 rather than float32.

    Raises:
        ValueError: fewer images than one batch, a batch without room for a class, or a value out of range.
    """

    needs_features = True

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
        full_precision: bool = False,
    ):
        check_batch_size(len(labels), batch_size)
        check_images_per_class(batch_size, images_per_class)
        _check_choice(similarity, SIMILARITY_MEASURES)
        if pool_size < 2:
            raise ValueError(f"--data_batchmatch_bigbs must be at least 2, got {pool_size}")
        if projection_size != -1 and projection_size < 1:
            raise ValueError(f"--data_sampler_lowproj_dim must be −1 or at least 1, got {projection_size}")
        self.classes, self.num_images, self.seed = ClassMembers(labels), len(labels), seed
        self.num_batches, self.images_per_class = len(labels) // batch_size, images_per_class
        self.classes_per_batch = batch_size // images_per_class
        self.images_per_batch = self.classes_per_batch * images_per_class
        self.pool_size, self.projection_size, self.similarity = pool_size, projection_size, similarity
        self.dtype = np.float64 if full_precision else np.float32
        self.features: np.ndarray | None = None

    def set_features(self, features: np.ndarray) -> None:
        """Take (N, D) features of the images, in the order of their indices, for the plans to come.

        Raises:
            ValueError: another number of rows than images.
        """
        if features.ndim != 2 or len(features) != self.num_images:
            raise ValueError(f"{self.num_images} images need as many rows of features, got {features.shape}")
        features = features.astype(self.dtype)
        if self.similarity == "cosine":
            features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        if 0 < self.projection_size < features.shape[1]:
            # Gaussian, so that distances keep their mean square (Johnson and Lindenstrauss).
            projection = np.random.default_rng(self.seed).standard_normal((features.shape[1], self.projection_size))
            features = features @ (projection / np.sqrt(self.projection_size)).astype(self.dtype)
        self.features = features

    def plan(self, epoch: int) -> np.ndarray:
        """(N // batch_size, classes_per_batch · images_per_class) int64, grouped by class.

        Raises:
            ValueError: no features yet.
        """
        if self.features is None:
            raise ValueError("this sampler looks at the images' features: call set_features before plan")
        rng = np.random.default_rng([self.seed, epoch])
        return np.stack([self._batch(rng) for _ in range(self.num_batches)])

    @abstractmethod
    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        """(images_per_batch,) int64."""


def _check_choice(similarity: str, choices: Sequence[str]) -> None:
    if similarity not in choices:
        raise ValueError(f"--data_sim_measure {similarity!r} is not one of {', '.join(choices)}")
