"""Batches that cover a larger pool of images: coresets in the space of features."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dml.data.feature_sampler import PoolSampler
from dml.errors import UserError

SOFT_PERCENTILE = 97


class CoresetSampler(PoolSampler):
    """Chooses images of a pool, one per group; members of each one's class, drawn with replacement, complete its group.

    The pool is P distinct images drawn uniformly, anew for each batch; all images where there are fewer.
    O(classes_per_batch · P · D) per batch.

    NOTE: the published code looks the rows that it chose up in another pool than the one it chose them from, which
    leaves a uniform draw of images. Here they are the images chosen.
    """

    def __init__(self, labels: np.ndarray, **pool):
        super().__init__(labels, **pool)
        self.class_of = np.unique(labels, return_inverse=True)[1]

    def smallest_pool(self) -> int:
        """One image per group of a batch."""
        return self.classes_per_batch

    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        pool = rng.choice(self.num_images, size=min(self.pool_size, self.num_images), replace=False)
        chosen = pool[self._choose(rng, self.pool_features(rng, pool))]
        partners = self.classes.members(rng, self.class_of[chosen].repeat(self.images_per_class - 1))
        return np.column_stack([chosen, partners.reshape(len(chosen), -1)]).ravel()

    @abstractmethod
    def _choose(self, rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
        """(classes_per_batch,) rows of the (P, D) features of a pool."""


class GreedyCoresetSampler(CoresetSampler):
    """Farthest-first traversal (Gonzalez, 1985; Sinha et al., Small-GAN, ICML 2020) from a uniform start.

    Each next image is the farthest from those chosen, by the distance to the nearest of them.

    Args:
        limit: where no image is farther than this from the nearest chosen one, the next is drawn uniformly.
            NOTE: the published code reads ``--data_gc_coreset_lim`` and uses it nowhere; among images that are all
            alike it takes the first one again and again.
        softened: draw the next image uniformly from those at or above the 97th percentile of these distances.
        pool: see ``PoolSampler``.
    """

    def __init__(self, labels: np.ndarray, *, limit: float = 1e-9, softened: bool = False, **pool):
        super().__init__(labels, **pool)
        if limit < 0:
            raise UserError(f"--data_gc_coreset_lim must be 0 or more, got {limit}")
        self.limit, self.softened = limit, softened

    def _choose(self, rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
        chosen = np.empty(self.classes_per_batch, dtype=np.int64)
        nearest = np.full(len(features), np.inf)  # squared distance to the nearest chosen row
        for step in range(len(chosen)):
            chosen[step] = self._next(rng, nearest)
            nearest = np.minimum(nearest, _squared_distances(features, chosen[step]))
        return chosen

    def _next(self, rng: np.random.Generator, nearest: np.ndarray) -> int:
        farthest = int(nearest.argmax())
        if not self.limit**2 < nearest[farthest] < np.inf:  # nothing is left to cover, or nothing is chosen yet
            return int(rng.integers(len(nearest)))
        if not self.softened:
            return farthest
        # Linear interpolation between squared distances, as published.
        return int(rng.choice(np.flatnonzero(nearest >= np.percentile(nearest, SOFT_PERCENTILE))))


class D2CoresetSampler(CoresetSampler):
    """D² sampling (Arthur and Vassilvitskii, k-means++, 2007), weighed by a normal distribution.

    The normal distribution p is that of the pool's mean and covariance. The first image is the nearest to a draw from
    it; each next one is drawn, without replacement, with probability ∝ p(x) · d(x)^λ, where d(x) is the sum (not the
    smallest, as in D² sampling) of the squared distances to all images chosen. O(P · D · min(P, D)) more per batch.

    NOTE: the published density is taken as it is, which overflows from about 400 dimensions on, and is an error where
    the covariance is singular, as with a pool of fewer images than dimensions. Here it is relative to the highest of
    the pool, and on the span of the pool.

    Args:
        exponent: λ, 0 or more; 0 leaves the density alone.
        pool: see ``PoolSampler``.
    """

    def __init__(self, labels: np.ndarray, *, exponent: float = 1.0, **pool):
        super().__init__(labels, **pool)
        if exponent < 0:
            raise UserError(f"--data_d2_coreset_lambda must be 0 or more, got {exponent}")
        self.exponent = exponent

    def _choose(self, rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
        odds = normal_density(features)
        start = draw_normal(rng, features)
        chosen = np.empty(self.classes_per_batch, dtype=np.int64)
        chosen[0] = np.square(features - start).sum(axis=1).argmin()
        sums = np.zeros(len(features))  # of squared distances to the chosen rows
        for step in range(1, len(chosen)):
            odds[chosen[step - 1]] = 0
            sums += _squared_distances(features, chosen[step - 1])
            weights = odds * (sums / (sums.max() or 1.0)) ** self.exponent  # in 0..1, which no power exceeds
            if not weights.any():  # what is left lies where the chosen rows lie, or too far out to have a density
                weights = np.ones(len(features))
                weights[chosen[:step]] = 0
            chosen[step] = rng.choice(len(features), p=weights / weights.sum())
        return chosen


def normal_density(samples: np.ndarray) -> np.ndarray:
    """(P,) density of each of (P, D) samples under the normal distribution of their mean and covariance.

    Relative to the highest. On the span of the samples, so that the covariance may be singular.
    """
    left, scales, _ = np.linalg.svd(samples - samples.mean(axis=0), full_matrices=False)
    spanned = scales > scales[0] * max(samples.shape) * np.finfo(samples.dtype).eps
    mahalanobis = (len(samples) - 1) * np.square(left[:, spanned]).sum(axis=1)
    return np.exp((mahalanobis.min() - mahalanobis) / 2)


def draw_normal(rng: np.random.Generator, samples: np.ndarray) -> np.ndarray:
    """(D,) a draw from the normal distribution of the (P, D) samples' mean and covariance, which may be singular."""
    mean = samples.mean(axis=0)
    return mean + rng.standard_normal(len(samples)) @ (samples - mean) / np.sqrt(max(len(samples) - 1, 1))


def _squared_distances(features: np.ndarray, row: int) -> np.ndarray:
    """(P,) from one of the (P, D) features to all."""
    return np.square(features - features[row]).sum(axis=1)
