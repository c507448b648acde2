"""How metrics go together over runs and epochs."""

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


def pair_counts(points: np.ndarray) -> np.ndarray:
    """(M, M) int64: how many rows of ``points`` (P, M) have both metrics of a pair."""
    there = (~np.isnan(points)).astype(np.int64)
    return there.T @ there


def correlations(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's and Spearman's coefficients of the columns of ``points`` (P, M): (M, M) each, −1..1.

    Of each pair over the rows that have both. NaN where a column is constant there, or with fewer than three rows;
    1 on the diagonal. The cost grows with M² · P log P.
    """
    size = points.shape[1]
    pearson, spearman = np.eye(size), np.eye(size)
    for i, j in itertools.combinations(range(size), 2):
        pair = points[:, [i, j]]
        pair = pair[~np.isnan(pair).any(axis=1)]
        pearson[i, j] = pearson[j, i] = _coefficient(pair)
        spearman[i, j] = spearman[j, i] = _coefficient(stats.rankdata(pair, axis=0))
    return pearson, spearman


def _coefficient(pair: np.ndarray) -> float:
    """Pearson's, of the two columns of ``pair`` (P, 2)."""
    if len(pair) < 3:
        return np.nan
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        return float(np.corrcoef(pair, rowvar=False)[0, 1])
