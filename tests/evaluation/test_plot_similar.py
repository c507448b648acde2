"""The gallery of what is similar, of images without classes."""

from __future__ import annotations

import numpy as np
import pytest

from dml.data import ImageRecords
from dml.evaluation.plots import plot_similar


def test_a_row_for_each_query(digits, tmp_path):
    paths = tuple(str(path) for path in sorted(digits.glob("*/*.png"))[:6])
    images = ImageRecords(paths, np.zeros(6, np.int64), ("image",))
    indices, values = np.array([[1, 2, 3], [3, 5, 0]]), np.ones((2, 3))
    plot_similar(images, np.array([0, 4]), indices, values, tmp_path / "similar.png")
    assert (tmp_path / "similar.png").read_bytes().startswith(b"\x89PNG")


def test_shapes_that_do_not_fit_are_refused(tmp_path):
    nothing = ImageRecords((), np.zeros(0, np.int64), ())
    with pytest.raises(ValueError, match=r"1 queries, neighbours \(2, 3\) and values \(2, 3\)"):
        plot_similar(nothing, np.array([0]), np.zeros((2, 3)), np.zeros((2, 3)), tmp_path / "similar.png")
