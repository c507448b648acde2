"""Batches that cover a larger pool of images: coresets in the space of features."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dml.data.feature_sampler import FeatureSampler


class CoresetSampler(FeatureSampler):
    """Chooses spread-out images of a pool, one per group; members of each one's class complete its group.

    The pool is drawn as ``ClassRandomSampler`` draws: a class uniformly with replacement, then a member.
    O(classes_per_batch · pool_size · D) per batch.
    """

    def _batch(self, rng: np.random.Generator) -> np.ndarray:
        classes = rng.integers(len(self.classes), size=self.pool_size)
        pool = self.classes.members(rng, classes)
        chosen = self._spread(rng, self.features[pool])
        partners = self.classes.members(rng, classes[chosen].repeat(self.images_per_class - 1))
        return np.column_stack([pool[chosen], partners.reshape(len(chosen), -1)]).ravel()

    def _spread(self, rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
        """(classes_per_batch,) rows of the (pool_size, D) features, the first uniform."""
        chosen = np.empty(self.classes_per_batch, dtype=np.int64)
        squared = np.full(len(features), np.inf, dtype=features.dtype)  # to the nearest chosen row
        for step in range(len(chosen)):
            chosen[step] = self._next(rng, squared) if step else rng.integers(len(features))
            to_new = np.square(features - features[chosen[step]]).sum(axis=1)
            squared = np.minimum(squared, to_new)
        return chosen

    @abstractmethod
    def _next(self, rng: np.random.Generator, squared: np.ndarray) -> int:
        """The next row, given (pool_size,) squared distances to the nearest row chosen."""


class GreedyCoresetSampler(CoresetSampler):
    """Farthest-first traversal (Gonzalez, 1985; Sinha et al., Small-GAN, ICML 2020): always the farthest image.

    NOTE: the published flags' meanings are read as the arguments below say.

    Args:
        limit: once no image is farther than this from the nearest chosen one, the rest is drawn uniformly.
        softened: draw the next image with probability ∝ distance instead of taking the farthest.
        pool: see ``FeatureSampler``.
    """

    def __init__(self, labels: np.ndarray, *, limit: float = 1e-9, softened: bool = False, **pool):
        super().__init__(labels, **pool)
        if limit < 0:
            raise ValueError(f"--data_gc_coreset_lim must be 0 or more, got {limit}")
        self.limit, self.softened = limit, softened

    def _next(self, rng: np.random.Generator, squared: np.ndarray) -> int:
        farthest = int(squared.argmax())
        if np.sqrt(squared[farthest]) <= self.limit:
            return int(rng.integers(len(squared)))
        return _draw(rng, np.sqrt(squared)) if self.softened else farthest


class D2CoresetSampler(CoresetSampler):
    """D² sampling (Arthur and Vassilvitskii, k-means++, 2007): the next image with probability ∝ squared distance.

    NOTE: the published flag's λ is read as in lightweight coresets (Bachem et al., KDD 2018): probabilities are
    λ · d² / Σ d² + (1 − λ) / pool_size.

    Args:
        balance: λ in 0..1; 1 is pure D² sampling, 0 uniform.
        pool: see ``FeatureSampler``.
    """

    def __init__(self, labels: np.ndarray, *, balance: float = 1.0, **pool):
        super().__init__(labels, **pool)
        if not 0 <= balance <= 1:
            raise ValueError(f"--data_d2_coreset_lambda must lie between 0 and 1, got {balance}")
        self.balance = balance

    def _next(self, rng: np.random.Generator, squared: np.ndarray) -> int:
        total = squared.sum()
        if total == 0:
            return int(rng.integers(len(squared)))
        return _draw(rng, self.balance * squared / total + (1 - self.balance) / len(squared))


def _draw(rng: np.random.Generator, weights: np.ndarray) -> int:
    weights = weights.astype(np.float64)
    return int(rng.choice(len(weights), p=weights / weights.sum()))
