"""Batches that resemble the data set: of several class-random candidates the one whose features fit best."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dml.data.feature_sampler import FeatureSampler

NUM_BINS = 50


class BatchMatchSampler(FeatureSampler):
    """Draws candidate batches as ``ClassRandomSampler`` does and keeps the one nearest to a uniform draw of images.

    Args:
        num_candidates: batches to choose from (``--data_batchmatch_ncomps``).
        pool: see ``FeatureSampler``; ``pool_size`` images of the whole set stand for it, drawn anew for each batch.
    """

    def __init__(self, labels: np.ndarray, *, num_candidates: int = 10, **pool):
        super().__init__(labels, **pool)
        if num_candidates < 1:
            raise ValueError(f"--data_batchmatch_ncomps must be at least 1, got {num_candidates}")
        if self.images_per_batch < 2:
            raise ValueError("batches of one image have no distribution to match: raise --batch-size")
        self.num_candidates = num_candidates

    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        shape = (self.num_candidates, self.classes_per_batch)
        candidates = self.classes.groups(rng, shape, self.images_per_class)
        reference = rng.choice(self.num_images, size=min(self.pool_size, self.num_images), replace=False)
        return candidates[self._distances(self.features[candidates], self.features[reference]).argmin()]

    @abstractmethod
    def _distances(self, candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """(K,) how far each of (K, B, D) candidates is from (R, D) reference features."""


class FrechetSampler(BatchMatchSampler):
    """Matches mean and covariance, by the Fréchet distance of normal distributions (Dowson and Landau, 1982).

    O(K · B · (R · D + B²)) per batch, and no D × D matrix.
    """

    def _distances(self, candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
        return frechet_distances(candidates, reference)


class DistanceHistogramSampler(BatchMatchSampler):
    """Matches the histogram of pairwise distances, by the Wasserstein distance of the two histograms.

    O((K · B² + R²) · D) per batch.
    """

    def _distances(self, candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
        ours, theirs = pairwise_distances(candidates), pairwise_distances(reference[None])
        top = max(ours.max(), theirs.max())
        shares, wanted = distance_histograms(ours, top), distance_histograms(theirs, top)
        return np.abs((shares - wanted).cumsum(axis=1)).sum(axis=1)


def frechet_distances(candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(K,) ‖μ − ν‖² + tr(S + T − 2 (S T)^½) between each of (K, B, D) samples and one of (R, D).

    With S = XᵀX and T = YᵀY for centred, scaled X and Y, tr (S T)^½ is the sum of the singular values of X Yᵀ,
    whose squares are the eigenvalues of a B × B matrix.
    """
    means, mean = candidates.mean(axis=1), reference.mean(axis=0)
    x = (candidates - means[:, None]) / np.sqrt(candidates.shape[1] - 1)
    y = (reference - mean) / np.sqrt(len(reference) - 1)
    products = x @ y.T  # (K, B, R)
    eigenvalues = np.linalg.eigvalsh(products @ products.transpose(0, 2, 1))
    cross = np.sqrt(np.maximum(eigenvalues, 0)).sum(axis=1)
    shift = np.square(means - mean).sum(axis=1)
    return shift + np.square(x).sum(axis=(1, 2)) + np.square(y).sum() - 2 * cross


def pairwise_distances(samples: np.ndarray) -> np.ndarray:
    """(K, B·(B−1)/2) Euclidean distances of the pairs within each of (K, B, D) samples."""
    squares = np.square(samples).sum(axis=2)
    squared = squares[:, :, None] + squares[:, None] - 2 * samples @ samples.transpose(0, 2, 1)
    first, second = np.triu_indices(samples.shape[1], k=1)
    return np.sqrt(np.maximum(squared[:, first, second], 0))


def distance_histograms(distances: np.ndarray, top: float) -> np.ndarray:
    """(K, NUM_BINS) shares of (K, P) distances in equal bins from 0 to ``top``, rows summing to 1."""
    if top == 0:  # all images alike
        top = 1.0
    bins = np.minimum((distances / top * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    bins += NUM_BINS * np.arange(len(distances))[:, None]
    counts = np.bincount(bins.ravel(), minlength=NUM_BINS * len(distances)).reshape(len(distances), NUM_BINS)
    return counts / distances.shape[1]
