from __future__ import annotations

import numpy as np
import pytest

from dml.data.records import ImageRecords


def records() -> ImageRecords:
    return ImageRecords.from_classes(["a", "b", "c", "d", "e"], ["y", "x", "z", "y", "z"])


def test_classes_are_numbered_in_sorted_order():
    assert records().class_names == ("x", "y", "z")
    assert records().labels.tolist() == [1, 0, 2, 1, 2]
    assert records().labels.dtype == np.int64
    assert records().class_counts().tolist() == [1, 2, 2]
    assert (len(records()), records().num_classes) == (5, 3)


def test_number_classes_are_sorted_as_numbers():
    assert ImageRecords.from_classes(["a", "b", "c"], [10, 9, 100]).class_names == ("9", "10", "100")


def test_select_renumbers():
    chosen = records().select([4, 1, 2])
    assert chosen.paths == ("e", "b", "c")
    assert chosen.class_names == ("x", "z")
    assert chosen.labels.tolist() == [1, 0, 1]


def test_select_of_nothing_is_empty():
    assert len(records().select([])) == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0]), "as many labels"),
        (np.array([0, 2]), "0..1"),
        (np.array([0.0, 1.0]), "int64"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        ImageRecords(("a", "b"), labels, ("x", "y"))
