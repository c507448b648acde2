"""--data-dir that is a file, in the user's home, or repeated by a hint; lists and archives that are damaged."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import scipy.io
from tiny_images import write_annotations, write_classes, write_image

import download_dataset
import verify_dataset
from damage import damaged
from dml.cli.evaluate import parse_evaluate
from dml.cli.parser import place
from dml.cli.report import parse_report
from dml.cli.train import parse_train
from dml.data import DATASETS, DatasetError, load_dataset
from dml.data.catalogue import ORIGINS
from dml.data.classification import CLASSIFICATION_DATASETS, load_classification
from dml.data.layout import fetch_command, read_table
from dml.data.verify import EVERY_DATASET

ROOT = Path(__file__).resolve().parents[2]
NOT_UTF8 = "1 Straße/0.jpg\n".encode("latin-1")


# A file in the place of a folder


@pytest.mark.parametrize("below", ["", "sets"])
@pytest.mark.parametrize("name", [name for name in EVERY_DATASET if name != "folder"])
def test_a_file_is_no_place_for_a_data_set(tmp_path, capsys, name, below):
    file = tmp_path / "file"
    file.write_text("a file")
    said = f"{file} is a file; give the folder with the data set"
    data_dir = file / below
    load = load_dataset if name in DATASETS else load_classification
    with pytest.raises(DatasetError, match=said):
        load(name, data_dir)
    assert verify_dataset.main([name, "--data-dir", str(data_dir)]) == 1
    assert said in capsys.readouterr().out
    assert download_dataset.main([name, "--data-dir", str(data_dir)]) == 1
    assert f"error: --data-dir {data_dir}" in capsys.readouterr().err


def test_a_file_is_no_folder_of_ones_own_images(tmp_path):
    (tmp_path / "file").write_text("a file")
    for load in (load_dataset, load_classification):
        with pytest.raises((DatasetError, OSError), match="folder"):
            load("folder", tmp_path / "file")


def test_the_scripts_say_in_a_line_what_the_system_refuses(tmp_path, capsys, monkeypatch):
    refused = PermissionError(13, "Permission denied", str(tmp_path))
    monkeypatch.setattr(Path, "is_dir", lambda _: (_ for _ in ()).throw(refused))
    for script in (verify_dataset, download_dataset):
        assert script.main(["cub", "--data-dir", str(tmp_path)]) == 1
        assert "error: [Errno 13] Permission denied" in capsys.readouterr().err


# The user's home


def test_home_is_one_place_in_every_program(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_train(["--data-dir=~/x", "--log-dir=~/l"]).config.data.data_dir == str(tmp_path / "x")
    assert parse_train(["--log-dir=~/l"]).config.run.log_dir == str(tmp_path / "l")
    evaluation = parse_evaluate(["--ckpt=~/best.pt", "--data-dir=~/x", "--json=~/m.json", "--gallery=~/g.png"])
    assert [evaluation.ckpt, evaluation.data_dir] == [str(tmp_path / "best.pt"), str(tmp_path / "x")]
    assert [evaluation.json, evaluation.gallery] == [str(tmp_path / "m.json"), str(tmp_path / "g.png")]
    report = parse_report(["~/logs", "--out=~/report"])
    assert (report.places, report.out) == ((str(tmp_path / "logs"),), tmp_path / "report")
    assert place("~/x") == tmp_path / "x"


def test_a_tilde_that_is_nobodys_home_is_left_alone():
    assert parse_train(["--remark", "~3e-4"]).config.run.remark == "~3e-4"
    assert place("a~b") == Path("a~b")


@pytest.mark.parametrize("script", ["download_dataset.py", "verify_dataset.py"])
def test_the_scripts_as_a_user_starts_them(tmp_path, script):
    """--data-dir=~/x of an unknown layout, and an address with a blank: a line at once, no traceback."""
    (tmp_path / "x" / "empty").mkdir(parents=True)
    words = ["--url", "http://127.0.0.1:9/my birds.tgz"] if script.startswith("download") else []
    command = [sys.executable, ROOT / "scripts" / script, "cub", "--data-dir=~/x", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"HOME": str(tmp_path)}, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    if script.startswith("download"):
        assert "error: cannot download 'http://127.0.0.1:9/my birds.tgz': it has a blank" in done.stderr
    else:
        assert f"fetch it: python scripts/download_dataset.py cub --data-dir {tmp_path / 'x'}" in done.stdout
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["x"]


# Hints repeat what was typed


def test_the_hint_repeats_the_folder(tmp_path):
    folder = tmp_path / "my sets"
    folder.mkdir()
    for name in set(ORIGINS) - {"folder"}:
        load = load_dataset if name in DATASETS else load_classification
        with pytest.raises(FileNotFoundError) as caught:
            load(name, folder)
        hint = str(caught.value).rpartition("fetch it: ")[2]
        assert shlex.split(hint) == ["python", "scripts/download_dataset.py", name, "--data-dir", str(folder)]
    assert fetch_command("cub", ROOT / "data") == fetch_command("cub") == "python scripts/download_dataset.py cub"


@pytest.mark.parametrize("name", ["cars", "Inshop", "imagenet"])
def test_the_steps_by_hand_repeat_the_folder(tmp_path, capsys, name):
    assert download_dataset.main([name, "--data-dir", str(tmp_path)]) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if "python scripts/" in line]
    assert commands
    assert all(line.endswith(f"--data-dir {tmp_path}") for line in commands)


# Damaged files


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("cub", {"CUB_200_2011/images.txt": NOT_UTF8, "CUB_200_2011/image_class_labels.txt": b"1 1\n"}),
        ("cub", {"CUB_200_2011/images.txt": b"1 a/0.jpg\n", "CUB_200_2011/image_class_labels.txt": b"1 \xff\n"}),
        ("SOP", {"sop/Ebay_train.txt": NOT_UTF8, "sop/Ebay_test.txt": b""}),
        ("Inshop", {"inshop/Eval/list_eval_partition.txt": NOT_UTF8}),
        ("cars", {"cars196/cars_annos.mat": NOT_UTF8, "cars196/car_ims/0.jpg": b""}),
        ("folder", {"list.csv": b"path,label\n" + NOT_UTF8}),
    ],
)
def test_a_list_that_is_damaged_is_named(tmp_path, capsys, name, layout):
    write_classes(tmp_path / "CUB_200_2011" / "images", ["a", "b"])
    for path, content in layout.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    bad = next(path for path, content in layout.items() if not content.isascii())
    with pytest.raises(DatasetError, match=str(tmp_path / bad)):
        load_dataset(name, tmp_path)
    assert verify_dataset.main([name, "--data-dir", str(tmp_path)]) == 1
    assert str(tmp_path / bad) in capsys.readouterr().out


def test_a_byte_order_mark_is_no_part_of_a_list(tmp_path):
    (tmp_path / "images.txt").write_text("1 a/0.jpg\n", encoding="utf-8-sig")
    assert read_table(tmp_path / "images.txt", 2).tolist() == [["1", "a/0.jpg"]]


def test_a_damaged_mat_file_is_named_whatever_scipy_says(tmp_path):
    path = tmp_path / "cars_annos.mat"
    write_image(tmp_path / "car_ims" / "0.jpg")
    write_annotations(path, "relative_im_path", ["car_ims/0.jpg"] * 8, [1, 2, 3, 4, 5, 6, 7, 8])
    scipy.io.savemat(path, {"annotations": scipy.io.loadmat(path)["annotations"]}, do_compression=True)
    refused = 0
    for content in damaged(path.read_bytes(), 200):
        path.write_bytes(content)
        try:
            DATASETS["cars"].load(tmp_path)
        except DatasetError as error:
            assert str(path) in str(error) or "at least 4 are needed" in str(error)
            refused += 1
    assert refused > 100


def test_a_damaged_archive_of_cifar_is_named(tmp_path):
    archive = tmp_path / "cifar-10-python.tar.gz"
    content = tmp_path / "content"
    content.write_bytes(random.Random(0).randbytes(2000))
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(content, "cifar-10-batches-py/batches.meta")
    for changed in damaged(archive.read_bytes(), 60):
        archive.write_bytes(changed)
        with pytest.raises(DatasetError, match=str(archive)), pytest.warns(UserWarning, match="not the official"):
            load_classification("cifar10", tmp_path)


def test_every_data_set_is_asked_for():
    assert set(EVERY_DATASET) == {*DATASETS, *CLASSIFICATION_DATASETS}
