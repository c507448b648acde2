"""The entry points run as a user runs them, on real images: train, be killed, go on, evaluate."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from dml.training import checkpoint, interrupt
from dml.training.retrieval import RetrievalTask
from entrypoints import SMALL, record, run, run_inside, start, wait_for

EPOCHS = ("--epochs", "3")


def train_arguments(digits: Path, logs: Path, *extra: str) -> list[str]:
    return ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, *EPOCHS, *extra]


@pytest.fixture(scope="module")
def finished(digits, logs) -> tuple[Path, str]:
    """An uninterrupted run, with everything on: its folder and what it printed."""
    extra = ("--eval-first", "--run-name", "whole", "--val-split", "0.4", "--pictures", "1", "--IPC", "8")
    done = run("train.py", *train_arguments(digits, logs, *extra))
    return logs / "folder" / "whole", done.stdout + done.stderr


def test_a_run_leaves_its_files(finished):
    folder, said = finished
    expected = {"config.json", "metrics.jsonl", "last.pt", "best.pt", "best_results.txt"}
    expected |= {"curves.png", "gallery.png", "tsne.html"}
    assert expected <= {path.name for path in folder.iterdir()}
    assert "Proxy-Anchor defaults" in said
    assert ", on cpu; 32" in said
    for name in ("curves.png", "gallery.png", "tsne.html"):
        assert str(folder / name) in said


def test_the_record(finished):
    lines = record(finished[0])
    assert [line["epoch"] for line in lines] == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {"eval/recall_at_1", "eval/map_at_r", "eval/r_precision", "eval/precision_at_1"} <= set(lines[0])
    assert "val/recall_at_1" in lines[1]
    assert {"train/loss", "train/lr"} <= set(lines[2])
    assert [line["train/lr"] for line in lines if "train/lr" in line] == [3e-4, 3e-4, 1.5e-4]


def test_results_name_the_choice(finished):
    text = (finished[0] / "best_results.txt").read_text()
    assert "on held-out classes" in text
    assert "last (epoch 3)" in text
    assert "R@1" in text


def test_it_learns(digits, tmp_path):
    """The same images in every epoch: random crops of so few move the loss by more than a few steps do."""
    extra = ("--augment", "0", "--epochs", "6", "--lr", "1e-3", "--lr-decay-step", "9", "--eval-every", "6")
    run("train.py", *train_arguments(digits, tmp_path, *extra, "--run-name", "learns"))
    losses = [line["train/loss"] for line in record(tmp_path / "folder" / "learns") if "train/loss" in line]
    assert losses[-1] < 0.8 * losses[0]


def test_killed_in_an_epoch_and_resumed_equals_uninterrupted(digits, tmp_path, finished):
    extra = ("--eval-first", "--run-name", "killed", "--val-split", "0.4", "--IPC", "8")
    process = start("train.py", *train_arguments(digits, tmp_path, *extra))
    folder = tmp_path / "folder" / "killed"
    wait_for(lambda: (folder / "last.pt").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(record(folder)) < len(record(finished[0]))
    (folder / ".last.pt.1.tmp").write_bytes(b"half a checkpoint")
    with (folder / "metrics.jsonl").open("a") as file:  # an epoch whose checkpoint was never written
        file.write('{"epoch": 2, "train/loss": 0.0}\n')
    run("train.py", "--resume-run", folder)
    assert record(folder) == record(finished[0])
    assert not list(folder.glob(".*.tmp"))
    ours, theirs = (torch.load(f / "last.pt", weights_only=True)["model"] for f in (folder, finished[0]))
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)


def test_a_disk_that_fills_up_ends_the_run_and_loses_nothing(digits, tmp_path, finished):
    resource = pytest.importorskip("resource")
    if not hasattr(resource, "prlimit"):
        pytest.skip("this system cannot limit what another process writes")
    extra = ("--eval-first", "--run-name", "full", "--val-split", "0.4", "--IPC", "8")
    process = start("train.py", *train_arguments(digits, tmp_path, *extra))
    folder = tmp_path / "folder" / "full"
    wait_for(lambda: (folder / "last.pt").exists(), process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert f"'{folder}/" in err
    assert err.rstrip().endswith(".pt'"), "the last line names the file that could not be written"
    assert "Traceback" not in err
    assert "Stopped: last.pt is as it was saved last. Continue with:" in out
    assert out.rstrip().endswith(f"--resume-run {folder}")
    assert not list(folder.glob(".*.tmp"))
    run("train.py", "--resume-run", folder)
    assert record(folder) == record(finished[0])


def test_stopped_while_the_pictures_are_drawn(finished, capsys, monkeypatch):
    """Training is over then; what is left is said too, however often one presses Ctrl-C."""
    write = checkpoint.save_atomically

    def press(number: int = signal.SIGINT) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr(interrupt, "SAME_REQUEST", -1.0)
    monkeypatch.setattr(RetrievalTask, "draw", lambda task, folder: press(signal.SIGTERM))
    monkeypatch.setattr(checkpoint, "save_atomically", lambda state, path: press() or press() or write(state, path))
    said = run_inside("train.py", "--resume-run", finished[0], status=130, capsys=capsys).out
    assert "Interrupted: 3 epochs and 0 batches are saved. Continue with:\n  python" in said
    assert said.rstrip().endswith(f"--resume-run {finished[0]}")
    assert torch.load(finished[0] / "last.pt", weights_only=True)["epoch"] == 3


def test_killed_before_the_first_checkpoint_begins_again(digits, tmp_path):
    process = start("train.py", *train_arguments(digits, tmp_path, "--run-name", "early", "--epochs", "1"))
    folder = tmp_path / "folder" / "early"
    wait_for(lambda: (folder / "config.json").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if (folder / "last.pt").exists():
        pytest.skip("the machine was too quick")
    assert "the run begins again" in run("train.py", "--resume-run", folder).stdout
    assert record(folder)[-1]["epoch"] == 1


def test_interrupted_in_the_middle_of_an_epoch(digits, tmp_path):
    """Ctrl-C saves at the next step; going on gives what an uninterrupted run gives."""
    arguments = train_arguments(digits, tmp_path, "--epochs", "2", "--batch-size", "8")
    process = start("train.py", *arguments, "--run-name", "stopped")
    folder = tmp_path / "folder" / "stopped"
    wait_for(lambda: (folder / "metrics.jsonl").exists(), process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"--resume-run {folder}" in out
    assert "Traceback" not in err
    run("train.py", "--resume-run", folder)
    run("train.py", *arguments, "--run-name", "whole")
    assert record(folder) == record(tmp_path / "folder" / "whole")


def test_resuming_a_finished_run_only_draws_its_pictures_again(finished):
    before = (finished[0] / "metrics.jsonl").read_text()
    (finished[0] / "gallery.png").unlink()
    run("train.py", "--resume-run", finished[0])
    assert (finished[0] / "metrics.jsonl").read_text() == before
    assert (finished[0] / "gallery.png").exists()


def test_a_signal_to_the_whole_process_group_saves_too(digits, tmp_path, capsys):
    """As a batch system sends it: loading workers must outlive the step that is being finished."""
    arguments = train_arguments(digits, tmp_path, "--epochs", "50", "--workers", "2", "--run-name", "group")
    process = start("train.py", *arguments, start_new_session=True)
    folder = tmp_path / "folder" / "group"
    wait_for(lambda: (folder / "last.pt").exists(), process)
    assert "still going" in run_inside("train.py", "--resume-run", folder, status=2, capsys=capsys).err
    os.killpg(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"--resume-run {folder}" in out
    assert "Traceback" not in err
    assert torch.load(folder / "last.pt", weights_only=True)["epoch"] >= 1


def test_an_unreadable_image_of_a_benchmark_is_named_whichever_worker_meets_it(digits, tmp_path):
    broken = tmp_path / "cub200" / "images"
    shutil.copytree(digits, broken)
    (broken / "digit_0" / "00.png").write_bytes(b"no image")
    done = run("train.py", *train_arguments(tmp_path, tmp_path, "--dataset", "cub", "--workers", "2"), status=2)
    assert "--accept-changes" not in done.stdout
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("train.py: error: cannot read image")
    assert "digit_0/00.png" in error
    assert "Traceback" not in done.stderr


def test_nothing_is_overwritten(digits, finished):
    before = {path.name: path.read_bytes() for path in finished[0].iterdir() if path.is_file()}
    logs = finished[0].parent.parent
    done = run("train.py", *train_arguments(digits, logs, "--epochs", "1", "--run-name", "whole", "--save", "0"))
    assert (
        "best epoch by recall_at_1 on the test split, as published (optimistic); it is not kept (--save 0)"
        in done.stdout
    )
    assert before == {path.name: path.read_bytes() for path in finished[0].iterdir() if path.is_file()}
    second = finished[0].with_name("whole_2")
    assert (second / "last.pt").exists()
    assert not (second / "best.pt").exists()


def test_evaluation_repeats_the_runs_figures(finished, tmp_path):
    out = tmp_path / "metrics.json"
    arrays, gallery, page = tmp_path / "embeddings.npz", tmp_path / "g.png", tmp_path / "t.html"
    options = ["--json", out, "--save-embeddings", arrays, "--gallery", gallery, "--tsne", page, "--workers", "0"]
    done = run("evaluate.py", "--ckpt", finished[0] / "last.pt", *options)
    metrics = json.loads(out.read_text())
    last = [line for line in record(finished[0]) if "eval/recall_at_1" in line][-1]
    for name, value in last.items():
        if name.startswith("eval/"):
            assert metrics[name] == pytest.approx(value)
    assert "R@1" in done.stdout
    assert "resnet18" in done.stdout
    assert gallery.stat().st_size > 1000
    assert "plotly" in page.read_text()
    with np.load(arrays, allow_pickle=False) as saved:
        assert saved["embeddings"].shape == (120, 16)
        assert saved["labels"].shape == saved["paths"].shape == (120,)


@pytest.mark.parametrize("per_class", [1, 2])
def test_too_few_images_for_a_map_are_said_beforehand(digits, finished, tmp_path, capsys, per_class):
    for name in ("digit_0", "digit_1", "digit_8", "digit_9"):
        (tmp_path / name).mkdir()
        for file in sorted((digits / name).iterdir())[:per_class]:
            (tmp_path / name / file.name).symlink_to(file)
    words = (
        "--ckpt",
        finished[0] / "last.pt",
        "--data-dir",
        tmp_path,
        "--workers",
        "0",
        "--gallery",
        tmp_path / "g.png",
    )
    said = run_inside("evaluate.py", *words, "--tsne", tmp_path / "t.html", status=2, capsys=capsys)
    assert f"--tsne: of {2 * per_class} images there is no map, it takes 5: leave it out" in said.err
    assert "R@1" not in said.out
    said = run_inside("evaluate.py", *words, status=0, capsys=capsys)
    assert "R@1" in said.out and (tmp_path / "g.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "folder", "--data-dir", "/nowhere"], "/nowhere"),
        (["--dataset", "cub", "--data-dir", "/nowhere"], "python scripts/download_dataset.py cub"),
        (
            ["--dataset", "folder", "--data-dir", "{digits}", "--batch-size", "2", "--IPC", "4"],
            "has no room for the 4 images of a class",
        ),
        (["--dataset", "folder", "--data-dir", "{digits}", "--crop-size", "64"], "--resize 64"),
        (["--dataset", "folder", "--data-dir", "{digits}", "--metrics", "map"], "unknown metric 'map'"),
        (["--dataset", "folder", "--data-dir", "{digits}", "--select-metric", "map"], "--select-metric"),
        (["--dataset", "folder", "--data-dir", "{digits}", "--lr", "inf"], "--lr must be a finite number"),
        (["--dataset", "folder", "--data-dir", "{digits}", "--select", "val"], "--select val needs held-out classes"),
    ],
)
def test_mistakes_end_in_one_line(digits, tmp_path, capsys, arguments, message):
    arguments = [text.format(digits=digits) for text in arguments]
    assert message in run_inside("train.py", *SMALL, *arguments, "--log-dir", tmp_path, status=2, capsys=capsys).err
    assert not list(tmp_path.glob("*/*")), "a run folder was made for a run that never began"


def test_a_log_folder_that_cannot_be(digits, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    words = ["--dataset", "folder", "--data-dir", digits, *SMALL, "--log-dir", file]
    said = run_inside("train.py", *words, status=2, capsys=capsys).err
    assert f"--log-dir {file}: cannot make anything in {file}: Not a directory" in said


@pytest.mark.parametrize("content", [b"", b"<html>sign in</html>", b"\x80\x04K\x01."], ids=["empty", "page", "pickle"])
def test_foreign_checkpoints_are_refused(digits, tmp_path, capsys, content):
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    arguments = ("--ckpt", file, "--dataset", "folder", "--data-dir", digits)
    assert str(file) in run_inside("evaluate.py", *arguments, status=2, capsys=capsys).err


def test_missing_checkpoint(digits):
    done = run("evaluate.py", "--ckpt", "/nowhere.pth", "--dataset", "folder", "--data-dir", digits, status=2)
    assert "/nowhere.pth" in done.stderr


def test_a_loss_that_is_not_finite_stops_the_run(digits, tmp_path):
    done = run("train.py", *train_arguments(digits, tmp_path, "--lr", "1e30", "--clip-value", "0"), status=2)
    assert "the loss of step" in done.stderr
    assert "training images" in done.stderr


def test_wandb_offline(digits, tmp_path):
    extra = ("--epochs", "1", "--wandb", "offline", "--run-name", "tracked")
    run("train.py", *train_arguments(digits, tmp_path, *extra))
    folder = tmp_path / "folder" / "tracked"
    assert list(folder.glob("wandb/offline-run-*/*.wandb"))
    assert [line["epoch"] for line in record(folder)] == [0, 1, 1]
