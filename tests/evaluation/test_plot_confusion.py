"""Which classes are mistaken, and the picture of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dml.data import ImageRecords
from dml.evaluation.classification import confusion_matrix
from dml.evaluation.plots.confused_pairs import plot_confused_pairs
from dml.evaluation.plots.confusion import _fit, confused_classes, plot_confusion


def test_the_matrix_counts_pairs():
    matrix = confusion_matrix(np.array([0, 0, 1, 2, 2]), np.array([0, 1, 1, 0, 0]), 4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]


def test_of_many_classes_those_that_are_confused_with_each_other_are_shown():
    matrix = np.diag([9] * 30)
    matrix[7, 25] = matrix[3, 4] = 5
    matrix[3, 12] = 1
    assert confused_classes(matrix, 4).tolist() == [3, 4, 7, 25]
    assert confused_classes(matrix, 20).tolist() == [3, 4, 7, 12, 25]
    assert confused_classes(np.diag([1, 2, 3]), 2).tolist() == [0, 1], "none is confused"
    assert confused_classes(matrix[:3, :3], 20).tolist() == [0, 1, 2]


def test_the_mistaken_images_are_drawn(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20, 10), (40 * number, 0, 0)).save(path)
    records = ImageRecords(tuple(map(str, paths)), np.array([0, 0, 1, 1, 2, 2]), ("a$_$", "b", "a name " * 9))
    for name, predicted in {"some": np.array([1, 1, 1, 0, 2, 0]), "none": records.labels}.items():
        plot_confused_pairs(records, predicted, records, tmp_path / f"{name}_.png")
    some, none = (Image.open(tmp_path / f"{name}_.png").size for name in ("some", "none"))
    assert some[0] == none[0] and some[1] > 2 * none[1], "three pairs, and one empty row"


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
