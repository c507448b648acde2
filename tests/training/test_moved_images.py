"""A checkpoint whose training images are numbered otherwise by now: batches under way, rows of state."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dml.data.layout import DatasetWarning
from dml.data.run_split import FILE_NAME, SplitTable
from dml.losses.transfer.crd import CRDLoss
from dml.methods.supervised import SupervisedMethod
from dml.methods.terms.feature_storage import FeatureStorage
from dml.methods.transfer import TransferMethod
from dml.training.moved_images import numbered_anew

PLAN = torch.tensor([[0, 1], [2, 3], [4, 5]])


def table(*names: str) -> SplitTable:
    zeros = np.zeros(len(names), np.int64)
    return SplitTable(names, zeros, ("c",) * len(names), ("train",) * len(names), zeros + 5)


def keep(run: Path, earlier: SplitTable, now: SplitTable) -> None:
    (run / "split_1.csv").write_bytes(earlier.to_csv())
    (run / FILE_NAME).write_bytes(now.to_csv())


def saved_under(split: SplitTable, *, done: int = 1) -> dict:
    state = {"epoch": 2, "plan": PLAN, "batches_done": done, "totals": {"loss": 3.0}}
    return {"split": {"digest": split.digest}, "state": state, "method": {}}


class Untouched:
    def move_images(self, saved, moved):
        return saved


def test_batches_follow_their_images(tmp_path):
    """The one that is gone was trained on already."""
    earlier, now = table(*"abcdef"), table(*"bfedcx")
    keep(tmp_path, earlier, now)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        saved = numbered_anew(saved_under(earlier), Untouched(), tmp_path, now.digest)
    assert saved["state"]["plan"].tolist() == [[-1, 0], [4, 3], [2, 1]]
    assert saved["state"]["batches_done"] == 1 and saved["state"]["totals"] == {"loss": 3.0}


def test_an_epoch_begins_again_where_an_image_to_come_is_gone(tmp_path):
    earlier, now = table(*"abcdef"), table(*"abcde")
    keep(tmp_path, earlier, now)
    with pytest.warns(DatasetWarning, match="epoch 3 was yet to train on are gone: it begins again, though 1 of its 3"):
        saved = numbered_anew(saved_under(earlier), Untouched(), tmp_path, now.digest)
    assert saved["state"] == {"epoch": 2, "plan": None, "batches_done": 0, "totals": {}}


def test_what_is_as_it_was_is_left_alone(tmp_path):
    now = table(*"abcdef")
    keep(tmp_path, table(*"ab"), now)
    for saved, digest in ((saved_under(now), now.digest), ({"state": {}}, now.digest), (saved_under(now), None)):
        assert numbered_anew(saved, Untouched(), tmp_path, digest) is saved


def test_a_split_that_is_not_there_is_named(tmp_path):
    now = table(*"abcdef")
    keep(tmp_path, table(*"ab"), now)
    with pytest.raises(ValueError, match=r"written under another split\.csv, which is not there, nor as split_1\.csv"):
        numbered_anew(saved_under(table(*"xyz")), Untouched(), tmp_path, now.digest)


MOVED = np.array([2, -1, 0])  # of three images the first is the third now, the second is gone


class Network(nn.Module):
    def rates_by_depth(self):
        return [("backbone", 1.0, [])]

    def new_parameters(self):
        return []


def features(num_images: int) -> SupervisedMethod:
    storage = FeatureStorage(lambda _: None, num_images=num_images, embedding_size=2, momentum=0.5)
    return SupervisedMethod(model=Network(), criterion=nn.Identity(), sampler=None, terms=[storage])


@pytest.mark.parametrize("num_images", [2, 4])
def test_features_go_with_their_images_and_are_computed_anew_where_some_are_new(num_images):
    then, now = features(3), features(num_images)
    then.storage.keep(torch.arange(6.0).reshape(3, 2), torch.ones(3, 2))
    moved = np.array([1, -1, 0]) if num_images == 2 else MOVED
    saved = now.move_images(then.state_dict(), moved)
    now.load_state_dict(saved)
    assert now.storage.features[moved[[0, 2]]].tolist() == [[0.0, 1.0], [4.0, 5.0]]
    assert now.storage.change.sum() == 4
    assert bool(now.storage.filled) == (num_images == 2)


def test_memories_of_each_image_go_with_it():
    def crd(num_images: int) -> TransferMethod:
        method = TransferMethod.__new__(TransferMethod)
        nn.Module.__init__(method)
        method.criterion = CRDLoss(
            target_features=3, source_features=3, labels=torch.arange(num_images) % 2, num_negatives=2, size=4
        )
        return method

    then, now = crd(3), crd(4)
    then.criterion.normalizers.fill_(6.0)
    fresh = now.criterion.target_memory.clone()
    now.load_state_dict(now.move_images(then.state_dict(), MOVED))
    for name in ("target_memory", "source_memory"):
        rows, old = getattr(now.criterion, name), getattr(then.criterion, name)
        assert torch.equal(rows[2], old[0]) and torch.equal(rows[0], old[2])
    assert torch.equal(now.criterion.target_memory[[1, 3]], fresh[[1, 3]])
    assert now.criterion.normalizers.tolist() == [8.0, 8.0]
