"""Intervals, paired tests and their correction, against SciPy's and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dml.compare.statistics import Estimate, compare, holm


def test_an_interval_is_student_s():
    values = [0.5, 0.6, 0.58, 0.61]
    found = Estimate.of(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half_width, found.mean + found.half_width) == pytest.approx((low, high))
    assert Estimate.of([0.5]) == Estimate(0.5, None, 1)
    assert Estimate.of([]) is None


def test_pairs_of_a_seed_and_fold_are_compared():
    first = {(1, 1): 0.5, (1, 2): 0.6, (2, 1): 0.55, (2, 2): 0.7}
    second = {(2, 2): 0.6, (1, 2): 0.55, (1, 1): 0.48, (3, 1): 0.9}  # in another order, one pair of its own
    third = {key: value - 0.2 for key, value in first.items()}
    found = {(d.first, d.second): d for d in compare({"a": first, "b": second, "c": third})}
    expected = stats.ttest_rel([0.5, 0.6, 0.7], [0.48, 0.55, 0.6])
    pair = found["a", "b"]
    assert pair.p == pytest.approx(expected.pvalue)
    assert (pair.estimate.mean, pair.estimate.number) == (pytest.approx(0.17 / 3), 3)
    assert found["a", "c"].p < 1e-9
    assert found["a", "c"].is_significant
    assert pair.corrected >= pair.p


def test_holm_by_hand():
    # Sorted 0.01 · 3, 0.02 · 2, 0.04 · 1; the last may not be below the one before it.
    assert holm([0.02, 0.01, None, 0.04]) == pytest.approx([0.04, 0.03, None, 0.04], nan_ok=True)
    assert holm([0.03, 0.03]) == [0.06, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_differences_without_spread():
    same = {(seed, 1): 0.5 for seed in (1, 2)}
    (equal,) = compare({"a": same, "b": dict(same)})
    (other,) = compare({"a": same, "b": dict.fromkeys(same, 0.25)})
    assert (equal.p, other.p) == (1.0, 0.0)
    assert not equal.is_significant
    (single,) = compare({"a": {(1, 1): 0.5}, "b": {(1, 1): 0.4}})
    assert (single.p, single.corrected) == (None, None)
    assert math.isclose(single.estimate.mean, 0.1)
    assert compare({"a": same, "b": {}}) == []
