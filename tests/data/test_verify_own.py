"""What is said of a user's own images before a training."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_images import write_classes, write_image

import verify_dataset
from dml.data.verify import verify
from entrypoints import ROOT


def write_patterns(root: Path, counts: dict[str, int]) -> None:
    """``root/<class>/<i>.png``: images of 20 × 24 pixels, none like another."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        for i in range(count):
            fields = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            path = root / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            fields.resize((24, 20), Image.Resampling.BICUBIC).save(path)


FOUR = {"ant": 4, "bee": 2, "cat": 3, "dog": 5}


def test_the_summary_counts_and_measures_and_names_what_to_run(tmp_path):
    write_patterns(tmp_path / "my photos", FOUR)
    report = verify("folder", tmp_path / "my photos", open_images=True)
    assert report.summary == [
        "folder, train: 2 classes, 6 images",
        "folder, train: images per class: least 2, median 3, most 4",
        "folder, query: 2 classes, 8 images",
        "folder, query: images per class: least 3, median 4, most 5",
        "sides in pixels: least 20, median 22, most 24",
    ]
    assert (report.problems, report.notes) == ([], [])
    assert report.next_command == (f"python code/train.py --dataset folder --data-dir '{tmp_path}/my photos'")


def test_what_spoils_figures_is_a_problem(tmp_path):
    write_patterns(tmp_path, FOUR | {"dog": 1})
    shutil.copy(tmp_path / "ant" / "0.png", tmp_path / "cat" / "copy.png")
    (tmp_path / "bee" / "empty.jpg").touch()
    problems = [problem.replace(f"{tmp_path}/", "") for problem in verify("folder", tmp_path).problems]
    assert problems == [
        "1 empty (0 bytes):\n  bee/empty.jpg",
        "1 image has several labels (ant/0.png is ant and cat/copy.png is cat)",
        "1 of 5 test images is a training image too (cat/copy.png = ant/0.png)",
        "1 of 5 test images cannot be answered: there is no other image of their classes to find (dog)",
    ]


def test_classes_of_one_image_each(tmp_path):
    write_patterns(tmp_path, dict.fromkeys("abcdef", 1))
    report = verify("folder", tmp_path)
    assert report.problems[0].startswith("none of the 3 test images can be answered")
    assert report.problems[1].startswith("no training class has two images")
    assert "--IPC" not in report.next_command


def test_near_duplicates_are_noted(tmp_path):
    write_patterns(tmp_path, FOUR)
    for original, name in (("ant/0", "ant/small"), ("ant/1", "dog/small")):
        with Image.open(tmp_path / f"{original}.png") as image:
            image.resize((18, 15)).save(tmp_path / f"{name}.jpg", quality=95)
    report = verify("folder", tmp_path, open_images=True)
    assert [note.replace(f"{tmp_path}/", "") for note in report.notes] == [
        "1 pair of images looks alike within a class (near duplicates: ant/0.png ~ ant/small.jpg)",
        "1 pair of images looks alike across classes, 1 of them in two splits"
        " (near duplicates: ant/1.png ~ dog/small.jpg)",
    ]
    assert report.problems == []
    shutil.copy(tmp_path / "bee" / "0.png", tmp_path / "bee" / "copy.png")  # a copy is no near duplicate
    assert len(verify("folder", tmp_path, open_images=True).notes) == 2


@pytest.mark.parametrize(
    ("folders", "entry", "note"),
    [
        (["train/a", "train/b", "validation/a", "validation/b"], "classify.py", "rename validation to test"),
        (["a", "b"], "classify.py", "at least 4 are needed"),
        (["train/a", "train/b", "test/a", "test/b"], "classify.py", ""),
        (["train/a", "train/b", "test/c", "test/d"], "train.py", ""),
        (["."], "train_stml.py", ""),
    ],
)
def test_the_next_command_fits_what_is_there(tmp_path, folders, entry, note):
    for folder in folders:
        write_classes(tmp_path, [folder], per_class=5)
    report = verify("folder", tmp_path)
    assert f"{report.next_command} ".startswith(f"python code/{entry} --dataset folder --data-dir {tmp_path} ")
    assert all(note in text and text.startswith("not for retrieval: ") for text in report.notes)
    assert len(report.notes) == bool(note)


def damaged(root: Path) -> None:
    """One truncated and one empty image, and a page."""
    whole = (root / "ant" / "0.png").read_bytes()
    (root / "ant" / "0.png").write_bytes(whole[: len(whole) // 2])
    (root / "bee" / "empty.jpg").touch()
    (root / "dog" / "page.jpg").write_text("<html>404</html>")


def test_unreadable_files_are_moved_away(tmp_path):
    """As a user does it, in a process of its own."""
    photos, away = tmp_path / "photos", tmp_path / "away"
    write_patterns(photos, FOUR)
    damaged(photos)
    write_image(away / "dog" / "page.jpg")
    there = (away / "dog" / "page.jpg").read_bytes()
    command = [sys.executable, str(ROOT / "scripts" / "verify_dataset.py"), "folder", "--data-dir", "photos"]
    done = subprocess.run([*command, "--move-unreadable", "away"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "moved 3 unreadable files to away" in done.stdout
    assert "folder, train: 2 classes, 5 images" in done.stdout
    assert done.stdout.splitlines()[-2:] == [
        "all is well",
        "next: python code/train.py --dataset folder --data-dir photos",
    ]
    moved = sorted(str(path.relative_to(away)) for path in away.rglob("*.*"))
    assert moved == ["ant/0.png", "bee/empty.jpg", "dog/page.jpg", "dog/page_2.jpg"]
    assert (away / "dog" / "page.jpg").read_bytes() == there
    assert not any((photos / name).exists() for name in ("ant/0.png", "bee/empty.jpg", "dog/page.jpg"))


def test_files_behind_a_link_are_left_where_they_are(tmp_path):
    photos, store = tmp_path / "photos", tmp_path / "store"
    write_patterns(photos, FOUR)
    write_patterns(store, {"ant": 2})
    (store / "ant" / "0.png").write_text("damaged")
    (photos / "ant" / "more").symlink_to(store / "ant")
    report = verify("folder", photos, move_unreadable=tmp_path / "away")
    assert "1 unreadable" in report.problems[0]
    assert (store / "ant" / "0.png").exists() and not (tmp_path / "away").exists()


@pytest.mark.parametrize(
    ("name", "target", "message"),
    [
        ("folder", "photos/away", "lies in the data folder"),
        ("folder", "photos", "lies in the data folder"),
        ("folder", "file", "is no folder"),
        ("cub", "away", "is for your own images"),
    ],
)
def test_places_that_nothing_is_moved_to(tmp_path, capsys, name, target, message):
    write_patterns(tmp_path / "photos", FOUR)
    damaged(tmp_path / "photos")
    (tmp_path / "file").touch()
    arguments = [name, "--data-dir", str(tmp_path / "photos"), "--move-unreadable", str(tmp_path / target)]
    assert verify_dataset.main(arguments) == 1
    assert message in capsys.readouterr().err
    assert (tmp_path / "photos" / "dog" / "page.jpg").exists()


def test_files_that_a_table_names_are_not_moved(tmp_path, capsys):
    write_patterns(tmp_path, FOUR)
    (tmp_path / "list.csv").write_text("path,label\nant/0.png,x\n")
    assert verify_dataset.main(["folder", "--data-dir", str(tmp_path), "--move-unreadable", "/nowhere"]) == 1
    assert "listed in a table" in capsys.readouterr().err
