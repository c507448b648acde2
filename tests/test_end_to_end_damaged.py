"""Damaged photographs among one's own stop nothing: every entry point leaves them out, says so and remembers."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from PIL import Image

from dml.data import reading, screening
from entrypoints import SMALL, record, run_inside, start, wait_for

DAMAGE = {
    "digit_0/00.png": "image file is truncated",
    "digit_7/empty.jpg": "the file is empty",
    "digit_8/page.jpg": "it is no image, or one of an unknown format",
}
TOLD = "3 of 82 images cannot be read and are left out: digit_0/00.png (image file is truncated), digit_7/empty.jpg"


@pytest.fixture(scope="module")
def photos(digits, logs) -> Path:
    """Ten classes of 8 photographs; one is cut, and two files are none."""
    folder = logs / "photos"
    shutil.copytree(digits, folder, ignore=shutil.ignore_patterns("[12]*.png", "0[89].png"))
    cut = folder / "digit_0" / "00.png"
    cut.write_bytes(cut.read_bytes()[:150])
    (folder / "digit_7" / "empty.jpg").touch()
    (folder / "digit_8" / "page.jpg").write_text("<html>404</html>")
    return folder


def arguments(photos: Path, logs: Path, name: str, *extra: str) -> list:
    return ["--dataset", "folder", "--data-dir", photos, "--log-dir", logs, "--run-name", name, *SMALL, *extra]


def run_and_hear(entry: str, *words, status: int = 0, capsys) -> tuple[str, str]:
    """What is printed, and what is warned of or ends the run."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        printed = run_inside(entry, *words, status=status, capsys=capsys)
    return printed.out, "\n".join([printed.err, *(str(warning.message) for warning in caught)])


@pytest.fixture(scope="module")
def trained(photos, logs) -> Path:
    """A run that was stopped after an epoch or more, in a process of its own."""
    process = start("train.py", *arguments(photos, logs, "run", "--epochs", "200"))
    folder = logs / "folder" / "run"
    wait_for((folder / "last.pt").exists, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert TOLD in err
    assert f"left out: 3 images that cannot be read, listed in {folder / 'left_out.csv'}" in out
    assert "training 5 classes, 39 images; test 5 classes, 40 images" in out
    return folder


def test_what_was_left_out_is_listed(trained):
    with (trained / "left_out.csv").open(newline="") as file:
        assert {row["path"]: row["reason"] for row in csv.DictReader(file)} == DAMAGE


def test_the_continued_run_looks_for_nothing_and_leaves_out_the_same(photos, trained, tmp_path, capsys, monkeypatch):
    """Though one is mended, and another has been deleted."""
    moved, stopped = tmp_path / "photos", tmp_path / "stopped"
    shutil.copytree(photos, moved)
    shutil.copytree(trained, stopped)
    settings = json.loads((stopped / "config.json").read_text())
    settings["optim"]["epochs"] = record(stopped)[-1]["epoch"] + 1
    (stopped / "config.json").write_text(json.dumps(settings))
    shutil.copy(moved / "digit_0" / "01.png", moved / "digit_0" / "00.png")
    (moved / "digit_8" / "page.jpg").unlink()
    monkeypatch.setattr(screening, "examine_all", mock.Mock(side_effect=AssertionError("looked")))
    out, heard = run_and_hear("train.py", "--resume-run", stopped, "--data-dir", moved, capsys=capsys)
    assert "training 5 classes, 39 images; test 5 classes, 40 images" in out
    assert "cannot be read and" not in heard
    assert (stopped / "left_out.csv").read_bytes() == (trained / "left_out.csv").read_bytes()


def test_evaluation_leaves_out_too(trained, tmp_path, capsys):
    words = ("--ckpt", trained / "last.pt", "--workers", "0", "--save-embeddings", tmp_path / "e.npz")
    _, heard = run_and_hear("evaluate.py", *words, capsys=capsys)
    assert "cannot be read" not in heard  # the run's own test images, without those that it left out
    with np.load(tmp_path / "e.npz") as saved:
        assert len(saved["paths"]) == 40
    assert TOLD in run_and_hear("evaluate.py", *words, "--unlabelled", capsys=capsys)[1]
    with np.load(tmp_path / "e.npz") as saved:
        assert len(saved["embeddings"]) == len(saved["paths"]) == 79


def test_strict_stops_before_the_training_and_names_all(photos, tmp_path, capsys):
    _, heard = run_and_hear("train.py", *arguments(photos, tmp_path, "no", "--strict"), status=2, capsys=capsys)
    assert "3 of 82 images cannot be read (--strict 1):" in heard
    assert all(f"{name} ({reason})" in heard for name, reason in DAMAGE.items())
    assert not (tmp_path / "folder").exists()


def test_training_without_labels(photos, tmp_path, capsys):
    settings = [*SMALL[: SMALL.index("--warm")], *SMALL[SMALL.index("--bn-freeze") :]]  # train_stml.py does not warm up
    words = ["--dataset", "folder", "--data-dir", photos, "--unlabelled", *settings, "--num-neighbors", "4"]
    words += ["--epochs", "1", "--log-dir", tmp_path, "--run-name", "own", "--data-name", "folder"]
    out, heard = run_and_hear("train_stml.py", *words, capsys=capsys)
    assert "folder: 79 images without classes" in out
    assert TOLD in heard
    with np.load(tmp_path / "folder" / "own" / "embeddings.npz") as saved:
        assert len(saved["paths"]) == 79
    assert len(screening.read_left_out(tmp_path / "folder" / "own" / "left_out.csv")) == 3


def test_classification_and_its_evaluation(photos, tmp_path, capsys):
    words = ["--dataset", "folder", "--data-dir", photos, "--log-dir", tmp_path, "--run-name", "own", "--epochs", "1"]
    words += [
        "--data-name",
        "folder",
        "--model",
        "resnet18",
        "--crop-size",
        "32",
        "--resize",
        "32",
        "--batch-size",
        "32",
        "--lr",
        "0.01",
    ]
    words += ["--workers", "0", "--wandb", "disabled", "--pictures", "0"]
    assert TOLD in run_and_hear("classify.py", *words, capsys=capsys)[1]
    folder = tmp_path / "folder" / "own"
    assert len(screening.read_left_out(folder / "left_out.csv")) == 3
    words = ("--evaluate", folder / "last.pt", "--json", tmp_path / "m.json", "--workers", "0")
    out, _ = run_and_hear("classify.py", *words, capsys=capsys)
    assert "19 test images" in out
    assert json.loads((tmp_path / "m.json").read_text())["eval/top_1"] == record(folder)[-1]["eval/top_1"]


def test_a_file_that_breaks_while_the_run_goes_on(digits, tmp_path, capsys, monkeypatch):
    """The run is saved, and the command that goes on also takes changed images."""
    read, reads = reading.read_image, []

    def breaking(path, **how):
        reads.extend([path] * (Path(path).parent.name < "digit_5"))  # of the images that train
        return read(path if len(reads) < 30 else tmp_path / "gone.png", **how)

    monkeypatch.setattr(reading, "read_image", breaking)
    out, heard = run_and_hear("train.py", *arguments(digits, tmp_path, "run"), status=2, capsys=capsys)
    folder = tmp_path / "folder" / "run"
    assert (folder / "last.pt").exists()
    assert "Mend the file that is named below, or remove it and go on without it; either way continue with:" in out
    assert out.rstrip().endswith(f"--resume-run {folder} --accept-changes 1")
    assert "image file is missing:" in heard


def test_a_checkpoint_reads_other_images_as_its_run_did(digits, tmp_path, capsys):
    """Of twelve bits in sixteen: dim ones, which alone would be taken for ten."""
    for folder, factor in (("bright", 16), ("dim", 3)):
        for path in digits.glob("*/0[0-5].png"):
            (tmp_path / folder / path.parent.name).mkdir(parents=True, exist_ok=True)
            grey = np.asarray(Image.open(path)).astype(np.uint16) * factor
            Image.fromarray(grey).save(tmp_path / folder / path.parent.name / path.name)
    words = arguments(tmp_path / "bright", tmp_path, "run", "--epochs", "1")
    assert "are read as having 12," in run_and_hear("train.py", *words, capsys=capsys)[1]
    folder = tmp_path / "folder" / "run"
    assert json.loads((folder / "config.json").read_text())["data"]["bits"] == 12
    seen, read = [], reading.read_image
    with mock.patch.object(reading, "read_image", lambda path, **how: seen.append(how["bits"]) or read(path, **how)):
        for extra in ((), ("--bits", "10")):
            words = ("--ckpt", folder / "last.pt", "--data-dir", tmp_path / "dim", "--workers", "0", *extra)
            assert "are read as having" not in run_and_hear("evaluate.py", *words, capsys=capsys)[1]
    assert seen == [12] * 60 + [10] * 60  # each is looked at once, for series, and embedded
