"""Runs over different images are never of one group."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_runs import make_run

from dml.data.run_split import FILE_NAME, SplitTable
from dml.report.groups import group_runs
from dml.report.reading import read_runs
from dml.report.runs import run_from_lines
from dml.training.split_file import with_digest
from entrypoints import run_inside


def keep_split(run: Path, *, val: int = 0, size: int = 5) -> Path:
    """A table of six images, of which the first ``val`` are held out."""
    splits = ("val",) * val + ("train",) * (4 - val) + ("test",) * 2
    table = SplitTable(tuple("abcdef"), np.zeros(6, np.int64), ("c",) * 6, splits, np.full(6, size))
    (run / FILE_NAME).write_bytes(table.to_csv())
    return run


def own(folder: Path, data_dir: str = "/a/photos", **options) -> Path:
    return make_run(folder, dataset="folder", data_dir=data_dir, **options)


def groups(folder: Path, *fields: str) -> list[tuple[dict, int]]:
    return [(group.fields, len(group.runs)) for group in group_runs(read_runs([str(folder)])[0], fields)]


def test_equal_data_are_one_group_wherever_they_were_and_however_held_out(tmp_path):
    for seed, place in enumerate(("/a/photos", "/b/photos", "/c/photos")):
        keep_split(own(tmp_path / str(seed), place, seed=seed), val=seed)
    assert [number for _, number in groups(tmp_path)] == [3]


@pytest.mark.parametrize("fields", [(), ("loss",), ("dataset", "loss")])
def test_other_images_are_another_group_whatever_groups_are_by(tmp_path, fields):
    """Told apart by the digest where the name is the same, and by the name where it is not."""
    keep_split(own(tmp_path / "0", seed=0))
    keep_split(own(tmp_path / "1", seed=1), size=6)
    shown = groups(tmp_path, *fields)
    assert [number for _, number in shown] == [1, 1]
    assert all(len(found["digest"]) == 12 and "data_name" not in found for found, _ in shown)
    keep_split(own(tmp_path / "2", "/a/pictures", seed=2), size=7)
    (tmp_path / "1" / FILE_NAME).unlink(), (tmp_path / "1" / "config.json").unlink()
    shown = groups(tmp_path, *fields)
    assert [found["data_name"] for found, _ in shown] == ["photos", "pictures"]
    assert all("digest" not in found for found, _ in shown)


def test_a_run_that_went_on_with_other_images_is_a_group_of_its_own(tmp_path):
    for seed in range(3):
        keep_split(own(tmp_path / str(seed), seed=seed), size=5 + seed // 2)
    earlier = (tmp_path / "0" / FILE_NAME).read_bytes()
    (tmp_path / "1" / FILE_NAME).replace(tmp_path / "1" / "split_1.csv")
    keep_split(tmp_path / "1", size=6)  # as run 2
    assert (tmp_path / "1" / "split_1.csv").read_bytes() == earlier
    assert [number for _, number in groups(tmp_path)] == [1, 1, 1]


def test_a_dashboard_is_told_as_much_as_a_folder(tmp_path):
    run = keep_split(own(tmp_path / "0"))
    (found,), _ = read_runs([str(run)])
    config = with_digest(json.loads((run / "config.json").read_text()), "photos", run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert len(config["data"]["digest"]) == 64
    assert run_from_lines("entity/project/0", config, lines).config == found.config | {"data.data_name": "photos"}


def test_runs_of_unknown_images(tmp_path):
    """As earlier versions left them: own images count as the same in one place, a named data set everywhere."""
    own(tmp_path / "0", seed=0), own(tmp_path / "1", seed=1), own(tmp_path / "2", "/b/photos", seed=2)
    assert [(found["digest"], number) for found, number in groups(tmp_path)] == [
        ("unknown, in /a/photos", 2),
        ("unknown, in /b/photos", 1),
    ]
    keep_split(own(tmp_path / "3", seed=3))
    assert [number for _, number in groups(tmp_path)] == [2, 1, 1]
    for seed, place in enumerate(("/a", "/b")):
        make_run(tmp_path / "cub" / str(seed), data_dir=place, seed=seed)
    assert [number for _, number in groups(tmp_path / "cub")] == [2]


def test_the_table_shows_the_names_of_data(tmp_path, capsys):
    keep_split(own(tmp_path / "0"))
    keep_split(own(tmp_path / "1", "/a/trees.csv", data_name=None), size=6)
    keep_split(own(tmp_path / "2", data_name="autumn"), size=7)
    printed = run_inside("report.py", tmp_path, "--group-by", "loss", status=0, capsys=capsys).out
    assert "| loss | data_name | epoch |" in printed
    assert all(printed.count(f"| triplet | {name} |") == 2 for name in ("photos", "trees", "autumn"))
