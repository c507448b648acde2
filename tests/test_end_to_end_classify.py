"""classify.py runs as a user runs it: train, be interrupted, go on, evaluate."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch

from dml.data import DatasetWarning
from dml.methods.classification import ClassificationMethod
from entrypoints import ROOT, environment, record, run, run_inside

SMALL = [
    *("--dataset", "folder", "--model", "resnet18", "--crop-size", "16", "--resize", "16", "--crop-padding", "2"),
    *("--batch-size", "24", "--lr", "0.01", "--scheduler", "cosine", "--epochs", "2", "--workers", "0"),
    *("--stem", "imagenet", "--introspective", "--uncertainty-size", "16", "--wandb", "disabled"),
    *("--data-name", "folder"),
]
# The stem for large images, which shrinks these to one pixel, makes the network cheap.


def arguments(digits: Path, logs: Path, name: str, *extra: str) -> list[str]:
    return [*SMALL, "--data-dir", str(digits), "--log-dir", str(logs), "--run-name", name, *extra]


MIXED = ("--mix", "cutmix", "--mix-probability", "0.5", "--val-split", "0.1")


@pytest.fixture(scope="module")
def finished(digits, logs) -> tuple[Path, str]:
    """An uninterrupted run: its folder and what it printed."""
    done = run("classify.py", *arguments(digits, logs, "whole", *MIXED))
    return logs / "folder" / "whole", done.stdout


def test_a_run_leaves_its_files_and_learns(finished):
    folder, said = finished
    expected = {"config.json", "metrics.jsonl", "last.pt", "best.pt", "best_results.txt", "curves.png", "confusion.png"}
    expected |= {"confused_pairs.png", "classes.csv"}
    assert expected <= {path.name for path in folder.iterdir()}
    assert "folder: 10 classes, training 170 images; test 50 images; validation 20 images" in said
    assert "resnet18 (imagenet stem), 10 classes, uncertainty 16-d" in said
    assert "best epoch by top_1 on held-out images" in said
    assert "held-out images, in per cent" in (folder / "best_results.txt").read_text()
    lines = record(folder)
    losses = [line["train/loss"] for line in lines if "train/loss" in line]
    assert losses[1] < losses[0]
    assert {"eval/top_1", "eval/top_5"} <= set(lines[1])


def test_interrupted_and_resumed_equals_uninterrupted(digits, logs, finished, capsys, monkeypatch):
    """In the second step of the second epoch: what is mixed afterwards must be drawn as if nothing had happened."""
    steps = []

    def interrupt(_) -> None:
        steps.append(0)
        if len(steps) == 9:  # an epoch has seven
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ClassificationMethod, "after_optimizer_step", interrupt)
        words = arguments(digits, logs, "stopped", *MIXED, "--pictures", "0")
        said = run_inside("classify.py", *words, status=130, capsys=capsys).out
    folder = logs / "folder" / "stopped"
    assert "1 epochs and 2 batches are saved" in said
    assert f"classify.py --resume-run {folder}" in said
    run_inside("classify.py", "--resume-run", folder, status=0, capsys=capsys)
    assert record(folder) == record(finished[0])
    ours, theirs = (torch.load(of / "last.pt", weights_only=True) for of in (folder, finished[0]))
    torch.testing.assert_close(ours["model"], theirs["model"], rtol=0, atol=0)


def test_a_checkpoint_is_evaluated(digits, finished, tmp_path, capsys):
    file, out = finished[0] / "last.pt", tmp_path / "metrics.json"
    said = run_inside("classify.py", "--evaluate", file, "--json", out, status=0, capsys=capsys).out
    last = [line for line in record(file.parent) if "eval/top_1" in line][-1]
    metrics = json.loads(out.read_text())
    assert metrics == {name: pytest.approx(value) for name, value in last.items() if name.startswith("eval/")}
    assert "50 test images" in said
    (tmp_path / "data").mkdir()
    for name in ("digit_0", "digit_1"):
        (tmp_path / "data" / name).symlink_to(digits / name)
    words = ("--evaluate", file, "--data-dir", tmp_path / "data")
    assert "10 classes apart" in run_inside("classify.py", *words, status=2, capsys=capsys).err


def test_images_are_named(digits, finished, tmp_path, capsys):
    """Files and folders, however given; a file that is no image is left out and said."""
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "broken.png").write_text("no image")
    (tmp_path / "new" / "one.png").write_bytes((digits / "digit_3" / "00.png").read_bytes())
    words = ["--ckpt", finished[0], "--csv", tmp_path / "out.csv", "--top-k", "3", "--workers", "0"]
    with pytest.warns(DatasetWarning, match="1 of 27 images cannot be read and are left out"):
        places = [digits / "digit_0", digits / "digit_1" / "00.png", tmp_path / "new"]
        said = run_inside("classify.py", "--predict", *places, *words, status=0, capsys=capsys).out
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows[23:]] == [str(places[0] / "23.png"), str(places[1]), str(places[2] / "one.png")]
    for row in rows:
        values = [float(row[f"probability_{k}"]) for k in (1, 2, 3)]
        assert values == sorted(values, reverse=True) and sum(values) <= 1
        assert {row[f"class_{k}"] for k in (1, 2, 3)} < {path.name for path in digits.iterdir()}
    assert f"{places[0] / '00.png'}: {rows[0]['class_1']} " in said and "… and 16 more" in said
    evaluated = ["--evaluate", finished[0], "--csv", tmp_path / "classes.csv", "--workers", "0"]
    run_inside("classify.py", *evaluated, status=0, capsys=capsys)
    with (tmp_path / "classes.csv").open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == [f"digit_{n}" for n in range(10)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--predict", "x"), "--predict needs a trained classifier: --ckpt FILE"),
        (("--predict", "/nowhere", "--ckpt", "RUN"), "no such file or folder: /nowhere"),
        (("--predict", "x", "--ckpt", "RUN", "--data-dir", "x"), "--data-dir has no part in --predict"),
        (("--predict", "x", "--ckpt", "RUN", "--json", "x"), "--json has no part in --predict"),
        (("--ckpt", "RUN", "--top-k", "3"), "--top-k belongs to --predict"),
        (("--csv", "x.csv"), "a training leaves classes.csv in its folder"),
        (("--predict", "x", "--ckpt", "RUN", "--top-k", "0"), "--top-k must be at least 1"),
    ],
)
def test_what_names_no_images(finished, capsys, words, message):
    words = [str(finished[0]) if word == "RUN" else word for word in words]
    assert message in run_inside("classify.py", *words, status=2, capsys=capsys).err


def test_a_printed_command_trains(digits, tmp_path, capsys):
    """As CutMix's code and the introspective paper's spell it; what follows it counts, and makes it small."""
    for split, images in (("train", slice(0, 6)), ("test", slice(6, 8))):
        for folder in digits.iterdir():
            (tmp_path / split / folder.name).mkdir(parents=True)
            for image in sorted(folder.iterdir())[images]:
                (tmp_path / split / folder.name / image.name).symlink_to(image)
    printed = (
        "--net_type pyramidnet --dataset cifar10 --depth 200 --alpha 240 --batch_size 64 --lr 0.25 --expname PyraNet200"
        " --epochs 300 --beta 1.0 --cutmix_prob 0.5 --no-verbose"
    )
    smaller = "--introspective --depth 11 --alpha 12 --batch_size 20 --epochs 1 -j 0 --crop-size 16 --resize 16"
    places = ["--data-dir", tmp_path, "--log-dir", tmp_path / "logs", "--pictures", "0", "--wandb", "disabled"]
    words = [*printed.split(), *smaller.split(), *places]
    said = run_inside("classify.py", *words, status=0, capsys=capsys).out
    assert "pyramidnet11_alpha12 (cifar stem), 10 classes, uncertainty 128-d" in said
    folder = tmp_path / "logs" / "cifar10" / "PyraNet200"
    assert {"train/loss", "train/damping", "eval/top_1"} <= {name for line in record(folder) for name in line}
    said = run_inside("classify.py", "--evaluate", folder / "best.pt", status=0, capsys=capsys).out
    assert "20 test images" in said


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--select", "val"), "--select val needs held-out images: add --val-split SHARE"),
        (("--select-metric", "recall_at_1"), "top_1, top_5"),
        (("--batch-size", "0"), "--batch-size must be at least 1"),
        (("--pretrained", "--stem", "cifar"), "--stem imagenet"),
        (("--data-dir", "/nowhere"), "/nowhere"),
    ],
)
def test_mistakes_end_in_one_line(digits, tmp_path, capsys, extra, message):
    words = arguments(digits, tmp_path, "never", *extra)
    assert message in run_inside("classify.py", *words, status=2, capsys=capsys).err
    assert not list(tmp_path.glob("*/*"))


def test_another_entry_point_does_not_continue_the_run(finished, capsys):
    folder, _ = finished
    said = run_inside("train.py", "--resume-run", folder, status=2, capsys=capsys).err
    assert "a run of code/classify.py" in said
    said = run_inside("evaluate.py", "--ckpt", folder / "best.pt", status=2, capsys=capsys).err
    assert "code/classify.py --evaluate" in said


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes(digits, tmp_path, capsys):
    """What they evaluate together is what one process finds in the network that they saved."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = arguments(digits, tmp_path, "two", "--mix", "mixup", "--epochs", "1", "--pictures", "0")
    done = subprocess.run(
        [*launcher, str(ROOT / "code" / "classify.py"), *words],
        cwd=tempfile.gettempdir(),
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2 processes" in done.stdout
    folder, out = tmp_path / "folder" / "two", tmp_path / "metrics.json"
    run_inside("classify.py", "--evaluate", folder / "last.pt", "--json", out, status=0, capsys=capsys)
    metrics = json.loads(out.read_text())
    assert record(folder)[-1] == {"epoch": 1} | {name: pytest.approx(value) for name, value in metrics.items()}
