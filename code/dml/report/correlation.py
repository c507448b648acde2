"""How metrics go together over runs: within an epoch, for over epochs all of them rise together."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

import numpy as np
from scipy import stats

from dml.report.runs import Run


def observations(runs: Sequence[Run], metrics: Sequence[str], *, split: str = "eval") -> np.ndarray:
    """(P, M) float64 values of the metrics, a row for each run and epoch that has any; NaN for those it lacks."""
    keys = [f"{split}/{metric}" for metric in metrics]
    lines = [line for run in runs for _, line in sorted(run.epochs.items()) if any(key in line for key in keys)]
    return np.array([[line.get(key, np.nan) for key in keys] for line in lines], dtype=np.float64).reshape(
        -1, len(keys)
    )


def epochs_of(runs: Sequence[Run], metrics: Sequence[str], *, split: str = "eval") -> np.ndarray:
    """(P,) int64: the epoch of each row of ``observations``."""
    keys = [f"{split}/{metric}" for metric in metrics]
    return np.array(
        [epoch for run in runs for epoch, line in sorted(run.epochs.items()) if any(key in line for key in keys)],
        dtype=np.int64,
    )


def pair_counts(points: np.ndarray) -> np.ndarray:
    """(M, M) int64: how many rows of ``points`` (P, M) have both metrics of a pair."""
    there = (~np.isnan(points)).astype(np.int64)
    return there.T @ there


def correlations(points: np.ndarray, epochs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's and Spearman's coefficients of the columns of ``points`` (P, M) within epochs: (M, M) each, −1..1.

    Of each pair over the rows that have both, each number, or rank among its epoch's, less the mean of its epoch: two
    metrics that do no more than rise with training have none. NaN where a column is constant so, or with fewer than
    three rows in epochs of two or more; 1 on the diagonal. The cost grows with M² · P log P.

    Args:
        epochs: (P,) of the rows.
    """
    size = points.shape[1]
    pearson, spearman = np.eye(size), np.eye(size)
    for i, j in itertools.combinations(range(size), 2):
        pair = points[:, [i, j]]
        there = ~np.isnan(pair).any(axis=1)
        pair, of_epoch = pair[there], epochs[there]
        pearson[i, j] = pearson[j, i] = _coefficient(_within(pair, of_epoch))
        spearman[i, j] = spearman[j, i] = _coefficient(_within(_ranked(pair, of_epoch), of_epoch))
    return pearson, spearman


def _ranked(pair: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Each number's rank among those of its epoch, as a share of them: epochs of few runs weigh no less for it."""
    ranks = np.empty_like(pair)
    for epoch in np.unique(epochs):
        of = epochs == epoch
        ranks[of] = stats.rankdata(pair[of], axis=0) / of.sum()
    return ranks


def _within(pair: np.ndarray, epochs: np.ndarray) -> np.ndarray:
    """Numbers less the mean of their epoch, of epochs of two rows or more."""
    _, place, counts = np.unique(epochs, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(place, column) for column in pair.T], axis=1) / counts[:, None] if len(pair) else pair
    return (pair - means[place])[counts[place] > 1] if len(pair) else pair


def _coefficient(pair: np.ndarray) -> float:
    """Pearson's, of the two columns of ``pair`` (P, 2)."""
    if len(pair) < 3:
        return np.nan
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.corrcoef(pair, rowvar=False)[0, 1])
