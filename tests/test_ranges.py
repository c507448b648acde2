"""Ranges of numbers: what lies in them, and how they read."""

from __future__ import annotations

import math

import pytest

from dml.ranges import above, at_least, between, unbounded

CASES = [
    (at_least(1), (1, 2, 10**9), (0, 0.999, -1), "be at least 1"),
    (at_least(0), (0, 0.5), (-1e-9,), "be 0 or more"),
    (above(0), (1e-300, 5), (0, -5), "be positive"),
    (above(0, also=(-1,)), (-1, 1e-3), (0, -2), "be positive, or be -1"),
    (at_least(1, also=(-1,)), (-1, 1), (0, -2), "be at least 1, or be -1"),
    (between(8, 16), (8, 16), (7, 17), "lie in 8..16"),
    (between(0, 2**32 - 1), (0, 2**32 - 1), (-1, 2**32), "lie in 0..4294967295"),
    (between(0, 1, without="low"), (1e-9, 1), (0, 1.1), "lie in (0, 1]"),
    (between(0, 1, without="high"), (0, 0.9), (1, -0.1), "lie in [0, 1)"),
    (between(0, 1, without="ends"), (0.5,), (0, 1), "lie in (0, 1)"),
    (unbounded("reason"), (-1e300, 0, 1e300), (), "be a finite number"),
]


@pytest.mark.parametrize(("within", "good", "bad", "text"), CASES, ids=[case[3] for case in CASES])
def test_ranges(within, good, bad, text):
    assert str(within) == text
    assert all(value in within for value in good)
    assert not any(value in within for value in (*bad, math.nan, math.inf, -math.inf))
    within.check("--flag", None)
    within.check("--flag", tuple(good))
    for value in bad:
        with pytest.raises(ValueError) as error:
            within.check("--flag", (*good, value))
        assert str(error.value) == f"--flag must {text}, got {value}"


def test_what_is_no_number_is_said_to_be_none():
    with pytest.raises(ValueError, match="--lr must be a finite number, got nan"):
        above(0).check("--lr", math.nan)
