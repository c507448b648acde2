from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tiny_images import write_classes

from dml.data import DatasetError, load_dataset
from dml.data.records import ImageRecords, RetrievalData
from dml.data.splits import hold_out


def retrieval_data(num_classes: int = 10, val: ImageRecords | None = None) -> RetrievalData:
    labels = np.repeat(np.arange(num_classes), 3)
    train = ImageRecords.from_classes([f"{i}.png" for i in range(len(labels))], labels)
    query = ImageRecords.from_classes(["a.png", "b.png"], ["a", "b"])
    return RetrievalData("folder", train, query, None, val, (1,))


def test_share_of_classes():
    data = hold_out(retrieval_data(), val_split=0.3, seed=1)
    assert (data.train.num_classes, data.val.num_classes) == (7, 3)
    assert not set(data.train.class_names) & set(data.val.class_names)
    assert len(data.train) + len(data.val) == 30
    assert (data.val.class_counts() == 3).all()


def test_the_seed_chooses_the_classes():
    first, again, other = (hold_out(retrieval_data(), val_split=0.3, seed=seed).val.class_names for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_partition_the_classes():
    folds = [hold_out(retrieval_data(), fold=(i, 4)) for i in (1, 2, 3, 4)]
    held = [name for data in folds for name in data.val.class_names]
    assert sorted(held, key=int) == [str(c) for c in range(10)]
    assert [data.val.num_classes for data in folds] == [3, 3, 2, 2]


def test_share_of_each_class():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), (1, 2, 10, 20)))
    records = ImageRecords.from_classes([f"{i}.png" for i in range(len(labels))], labels)
    data = hold_out(dataclasses.replace(retrieval_data(), train=records), val_split=0.3, by_images=True, seed=1)
    assert data.train.class_counts().tolist() == [1, 1, 7, 14]  # never all of a class
    assert data.val.class_names == ("1", "2", "3")
    assert data.val.class_counts().tolist() == [1, 3, 6]
    assert sorted(data.train.paths + data.val.paths) == sorted(records.paths)
    names = {path: str(label) for path, label in zip(records.paths, labels, strict=True)}
    assert [data.val.class_names[c] for c in data.val.labels] == [names[path] for path in data.val.paths]
    again = hold_out(dataclasses.replace(retrieval_data(), train=records), val_split=0.3, by_images=True, seed=2)
    assert again.val.paths != data.val.paths


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_split": 0.1}, "holding out 1 of 10"),
        ({"val_split": 0.9}, "holding out 9 of 10"),
        ({"val_split": 0.0}, "--val-split 0.0"),
        ({"val_split": 1.0}, "--val-split 1.0"),
        ({"fold": (0, 5)}, "--fold 0/5"),
        ({"fold": (6, 5)}, "--fold 6/5"),
        ({"fold": (1, 1)}, "--fold 1/1"),
        ({"fold": (1, 10)}, "holding out 1 of 10"),
        ({"val_split": 0.3, "fold": (1, 2)}, "not both"),
        ({}, "not both"),
        ({"fold": (1, 2), "by_images": True}, "--val-by-images goes with --val-split"),
        ({"val_split": 0.01, "by_images": True}, "holding out images of 0 of 10"),
    ],
)
def test_impossible_splits(options, message):
    with pytest.raises(DatasetError, match=message):
        hold_out(retrieval_data(), **options)


def test_a_validation_split_of_its_own_is_kept():
    data = retrieval_data()
    with pytest.raises(DatasetError, match="validation split"):
        hold_out(retrieval_data(val=data.query), val_split=0.3)


def test_through_load_dataset(tmp_path):
    write_classes(tmp_path, [f"{c:02d}" for c in range(12)])
    data = load_dataset("folder", tmp_path, fold=(2, 3), seed=0)
    assert (data.train.num_classes, data.val.num_classes, data.query.num_classes) == (4, 2, 6)
