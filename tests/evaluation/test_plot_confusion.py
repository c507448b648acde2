"""Which classes are mistaken, and the picture of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dml.evaluation.plots.confusion import _fit, confusion_matrix, plot_confusion, worst_classes


def test_the_matrix_counts_pairs():
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]


def test_the_worst_classes_are_those_with_the_largest_share_mistaken():
    matrix = np.diag([9, 1, 0, 5, 0]) + np.array([[0] * 5, [1, 0, 0, 0, 0], [0, 3, 0, 0, 0], [5, 0, 0, 0, 0], [0] * 5])
    assert worst_classes(matrix, 1).tolist() == [2]
    assert worst_classes(matrix, 2).tolist() == [1, 2]  # 1 and 3 are half wrong each
    assert worst_classes(matrix, 4).tolist() == [0, 1, 2, 3]  # class 4 has no image


def test_the_picture_is_drawn_of_few_classes_and_of_many(tmp_path):
    rng = np.random.default_rng(0)
    for count in (3, 40):
        labels = rng.integers(0, count, 500)
        names = [f"a class with a rather long name, {c}" for c in range(count)]
        plot_confusion(labels, rng.integers(0, count, 500), names, tmp_path / f"{count}.png")
    sizes = [Image.open(tmp_path / f"{count}.png").size for count in (3, 40)]
    assert sizes[0][0] < sizes[1][0] < 1800


def test_long_names_keep_both_ends():
    assert _fit("short") == "short"
    assert _fit("abcdefghijklmnopqrstuvwxyz0123456789") == "abcdefghijkl…xyz0123456789"
