"""The local record, tables, and a dashboard that never stops a run."""

from __future__ import annotations

import json

import pytest

from dml.tracking import Tracker, table
from dml.wandb_backend import WandbBackend


def test_record_is_one_json_object_a_line(tmp_path):
    tracker = Tracker(tmp_path)
    tracker.log(1, "train", {"loss": 0.5})
    tracker.log(1, "eval", {"recall_at_1": 0.25})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"epoch": 1, "train/loss": 0.5}, {"epoch": 1, "eval/recall_at_1": 0.25}]


def test_rewind_cuts_what_came_after(tmp_path):
    tracker = Tracker(tmp_path)
    tracker.log(1, "train", {"loss": 0.5})
    size = tracker.size()
    tracker.log(2, "train", {"loss": 0.4})
    tracker.rewind(size)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    with pytest.raises(ValueError, match="it was changed"):
        tracker.rewind(10_000)


def test_table_in_per_cent():
    lines = table({"before": {"recall_at_1": 0.1}, "after": {"recall_at_1": 0.75, "map_at_r": 0.5}}).splitlines()
    assert lines[0].split() == ["R@1", "MAP@R"]
    assert lines[2].split() == ["before", "10.00", "–"]
    assert lines[3].split() == ["after", "75.00", "50.00"]


def test_table_of_what_is_no_share():
    lines = table({"run": {"mAP_c": 0.5, "dists_at_inter": 1.0028, "rho_spectrum_at_0": [0.6, 0.4]}}).splitlines()
    assert lines[0].split() == ["mAP_c", "dists@inter"]
    assert lines[2].split() == ["run", "50.00", "1.0028"]


def test_a_tracker_without_a_dashboard_takes_pictures(tmp_path):
    Tracker(tmp_path).log_pictures({"a": tmp_path / "a.png"})


class _Broken:
    def log(self, *_, **__):
        raise RuntimeError("the server is on fire")

    def finish(self, **_):
        raise RuntimeError("the server is on fire")


class _Kept:
    def __init__(self, *, is_local: bool = False):
        self.is_local = is_local
        self.pictures = []

    def log_pictures(self, pictures, step):
        self.pictures += pictures


@pytest.mark.parametrize("sends_images", [False, True])
def test_pictures_that_may_show_images_stay_unless_they_are_to_be_sent(tmp_path, sends_images):
    backend, local = _Kept(), _Kept(is_local=True)
    tracker = Tracker(tmp_path, backend, None, local, sends_images=sends_images)
    for name in ("curves", "confusion", "gallery", "t-SNE page", "tsne_2d_epoch_0", "whatever comes next"):
        tracker.log_pictures({name: tmp_path / name})
    assert backend.pictures[:2] == ["curves", "confusion"]
    assert len(backend.pictures) == (6 if sends_images else 2)
    assert len(local.pictures) == 6


def test_a_failing_dashboard_is_one_warning():
    backend = WandbBackend(_Broken())
    with pytest.warns(UserWarning, match="the server is on fire"):
        backend.log({"epoch": 1}, 1)
    backend.log({"epoch": 2}, 3)
    backend.close()
