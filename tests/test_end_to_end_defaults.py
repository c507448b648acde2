"""What a user who typed nothing of it is told."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dml.errors import Note
from dml.own_recipe import Length
from dml.recipes import RECIPES
from entrypoints import record, run, run_inside


def test_a_run_of_defaults_warns_of_nothing(digits, tmp_path):
    small = ["--pretrained", "0", "--crop-size", "32", "--embedding-size", "16", "--epochs", "2"]
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path)]
    # Two steps find less than pixels alone, which is said where pixels are judged.
    done = run("train.py", *arguments, *small, "--baselines", "0")
    assert "warning" not in (done.stdout + done.stderr).lower()
    assert "Proxy_Anchor: own photographs defaults where no flag says otherwise (--recipe folder)" in done.stdout
    assert ", on cpu; 32" in done.stdout
    (best,) = tmp_path.glob("digits*/*/best.pt")
    judged = run("evaluate.py", "--ckpt", str(best))
    assert "warning" not in (judged.stdout + judged.stderr).lower()


def with_length(monkeypatch, images: int) -> None:
    length = Length(images, fewest=1, most=9)
    monkeypatch.setitem(RECIPES._entries, "folder", replace(RECIPES["folder"], lengths=(length, length)))


def test_the_number_of_images_says_how_long_a_run_is_and_a_continued_one_stays_so(
    digits, tmp_path, capsys, monkeypatch
):
    with_length(monkeypatch, 240)
    words = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, "--run-name", "r", "--pretrained", "0"]
    words += ["--crop-size", "32", "--workers", "0", "--wandb", "disabled", "--pictures", "0", "--baselines", "0"]
    with pytest.warns(Note, match="2 epochs for 120 training images; --epochs says otherwise"):
        said = run_inside("train.py", *words, status=0, capsys=capsys).out
    assert "1 epoch is left, about " in said
    (folder,) = tmp_path.glob("*/r")
    config = json.loads((folder / "config.json").read_text())
    assert (config["optim"]["epochs"], config["data"]["batch_size"], config["data"]["IPC"]) == (2, 30, 6)
    with_length(monkeypatch, 1_000)
    run_inside("train.py", "--resume-run", folder, status=0, capsys=capsys)
    assert record(folder)[-1]["epoch"] == 2
