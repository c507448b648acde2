"""TensorBoard shows the record: each line once, whatever was killed and computed again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from dml.tensorboard import TensorBoardBackend
from dml.tracking import Tracker
from entrypoints import SMALL, run, run_inside

pytest.importorskip("tensorboard")


def shown(folder: Path):
    """What TensorBoard reads."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Name → (epoch, value), in the order in which they were written."""
    found = shown(folder)
    return {
        name: [(e.step, pytest.approx(e.value, rel=1e-6)) for e in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def recorded(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The same of the record."""
    found: dict[str, list[tuple[int, float]]] = {}
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        for name, value in line.items():
            if name != "epoch" and isinstance(value, int | float):
                found.setdefault(name, []).append((line["epoch"], value))
    return found


def test_a_line_that_is_computed_again_is_there_once(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 1}')
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    tracker = Tracker(tmp_path, TensorBoardBackend(tmp_path))
    tracker.log(1, "train", {"loss": 0.5})
    tracker.log(1, "eval", {"recall_at_1": 0.25, "rho_spectrum_at_0": [0.5, 0.5]})
    size = tracker.size()
    tracker.log(2, "train", {"loss": 0.4})
    tracker = Tracker(tmp_path, TensorBoardBackend(tmp_path))  # the first one was killed
    tracker.rewind(size)
    tracker.log(2, "train", {"loss": 0.3})
    tracker.log_pictures({"gallery": tmp_path / "a.png", "map": tmp_path / "a.html"})
    tracker.close()
    assert scalars(tmp_path) == {"train/loss": [(1, 0.5), (2, 0.3)], "eval/recall_at_1": [(1, 0.25)]}
    found = shown(tmp_path)
    assert found.Tags()["images"] == ["pictures/gallery"]
    assert [picture.step for picture in found.Images("pictures/gallery")] == [2]
    assert "seed" in found.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()


def test_a_failure_is_one_warning(tmp_path):
    backend = TensorBoardBackend(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("no record\n")
    with pytest.warns(UserWarning, match="TensorBoard could not log metrics .*; this run goes on without it"):
        backend.log({"epoch": 1}, 1)
    backend.log({"epoch": 2}, 3)
    backend.close()


def test_without_the_package_one_line_says_how_to_get_it_before_a_folder_is_made(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    words = ("--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, "--epochs", "1")
    ended = run_inside("train.py", *words, "--tracker", "tensorboard", status=2, capsys=capsys)
    assert 'pip install ".[tensorboard]"' in ended.err
    assert not list(tmp_path.iterdir())


def test_a_training_and_its_continuation(digits, tmp_path):
    words = ("--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, "--epochs", "1")
    run("train.py", *words, "--run-name", "plain")
    folder = tmp_path / "folder" / "plain"
    assert not (folder / "tensorboard").exists()
    run("train.py", "--resume-run", folder, "--tracker", "tensorboard", "--wandb", "disabled")
    assert scalars(folder) == recorded(folder)
    run("train.py", "--resume-run", folder, "--tracker", "tensorboard", "--epochs", "2")
    assert {epoch for epoch, _ in recorded(folder)["train/loss"]} == {1, 2}
    assert scalars(folder) == recorded(folder)
