"""Batches that resemble a larger pool of images: of several candidates the one whose features fit best."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dml.data.class_members import ClassMembers
from dml.data.feature_sampler import PoolSampler
from dml.errors import UserError

NUM_BINS = 50
HISTOGRAM_WEIGHT = 150  # 75 in either direction, which for this distance are the same


class BatchMatchSampler(PoolSampler):
    """Draws candidate batches from a pool of images and keeps the one whose features are distributed most alike.

    The pool is drawn as ``ClassRandomSampler`` draws: classes with replacement, ``images_per_class`` members of each
    with replacement, as many whole groups as fit into P images. A group of a candidate is a class of the pool, drawn
    uniformly with replacement, and ``images_per_class`` distinct places of that class in the pool.

    Args:
        num_candidates: K, batches to choose from (``--data_batchmatch_ncomps``).
        pool: see ``PoolSampler``.
    """

    def __init__(self, labels: np.ndarray, *, num_candidates: int = 10, **pool):
        super().__init__(labels, **pool)
        if num_candidates < 1:
            raise UserError(f"--data_batchmatch_ncomps must be at least 1, got {num_candidates}")
        if self.images_per_batch < 2:
            raise UserError("batches of one image have no distribution to match: raise --batch-size")
        self.num_candidates = num_candidates

    def smallest_pool(self) -> int:
        """One group, and two images, without which there is no distribution."""
        return max(self.images_per_class, 2)

    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        groups = rng.integers(len(self.classes), size=self.pool_size // self.images_per_class)
        classes = groups.repeat(self.images_per_class)  # (P,)
        pool = self.classes.members(rng, classes)
        candidates = self._candidates(rng, classes)
        return pool[candidates[self._costs(self.pool_features(rng, pool), candidates).argmin()]]

    def _candidates(self, rng: np.random.Generator, classes: np.ndarray) -> np.ndarray:
        """(K, images_per_batch) places in a pool of (P,) classes."""
        places = ClassMembers(classes)
        drawn = rng.integers(len(places), size=(self.num_candidates, self.classes_per_batch))
        return places.distinct_members(rng, drawn, self.images_per_class).reshape(self.num_candidates, -1)

    @abstractmethod
    def _costs(self, features: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """(K,) how far each of (K, B) places in the (P, D) features of the pool is from the whole pool."""


class FrechetSampler(BatchMatchSampler):
    """Matches mean and covariance, by the Fréchet distance of normal distributions (Dowson and Landau, 1982).

    O(P · D² + K · B · (D² + B · D + B²)) per batch.

    NOTE: the published name ``fid_batchmatch`` ends in an error there (a module that is not imported). Its matrix
    root, of 1e-8 more on the diagonals, is the same sum of singular values to that precision.
    """

    def _costs(self, features: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        return frechet_distances(features[candidates], features)


class DistanceHistogramSampler(BatchMatchSampler):
    """Matches means, deviations and the histogram of pairwise distances.

    The cost is ‖μ − ν‖ + ‖σ − ρ‖ + 150 · W, with W the mean difference of the two histograms' bin heights after
    both are sorted. The fifty bins lie between the smallest and the largest distance within the pool.
    O(P² · D + K · B · (B + D)) per batch.

    NOTE: W is what the published code computes, the Wasserstein distance of the two sets of heights. It does not
    look at which bin has which height; mean and deviation say where the distances lie.
    """

    def _costs(self, features: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        samples = features[candidates]  # (K, B, D)
        moments = sum(
            np.linalg.norm(moment(samples, axis=1) - moment(features, axis=0), axis=1) for moment in (np.mean, np.std)
        )
        from scipy.spatial.distance import pdist, squareform  # here: no other sampler needs scipy

        distances = pdist(features)
        first, second = np.triu_indices(candidates.shape[1], k=1)
        within = squareform(distances)[candidates[:, first], candidates[:, second]]
        limits = distances.min(), distances.max()
        heights, wanted = bin_heights(within, limits), bin_heights(distances[None], limits)
        return moments + HISTOGRAM_WEIGHT * np.abs(np.sort(heights) - np.sort(wanted)).mean(axis=1)


def frechet_distances(candidates: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(K,) ‖μ − ν‖² + tr(S + T − 2 (S T)^½) between each of (K, B, D) samples and one of (R, D).

    With S = XᵀX and T = YᵀY for centred, scaled X and Y, tr (S T)^½ is the sum of the singular values of X Yᵀ,
    whose squares are the eigenvalues of a B × B matrix. The triangular factor of Y, of at most D rows, does for Y.
    """
    means, mean = candidates.mean(axis=1), reference.mean(axis=0)
    x = (candidates - means[:, None]) / np.sqrt(candidates.shape[1] - 1)
    y = np.asarray(np.linalg.qr((reference - mean) / np.sqrt(len(reference) - 1), mode="r"))
    products = x @ y.T  # (K, B, min(R, D))
    eigenvalues = np.linalg.eigvalsh(products @ products.transpose(0, 2, 1))
    cross = np.sqrt(np.maximum(eigenvalues, 0)).sum(axis=1)
    shift = np.square(means - mean).sum(axis=1)
    return shift + np.square(x).sum(axis=(1, 2)) + np.square(y).sum() - 2 * cross


def bin_heights(distances: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """(K, NUM_BINS) shares of (K, M) distances in equal bins between the limits, rows summing to 1.

    Distances outside (of an image to itself) are left out.
    """
    low, high = limits
    width = (high - low) / NUM_BINS or 1.0  # all images alike
    bins = np.minimum((distances - low) // width, NUM_BINS - 1).astype(np.int64)
    bins += NUM_BINS * np.arange(len(distances))[:, None]
    counts = np.bincount(bins[distances >= low], minlength=NUM_BINS * len(distances)).reshape(-1, NUM_BINS)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
