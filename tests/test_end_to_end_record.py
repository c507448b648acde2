"""What a run records of itself, as a user meets it: settings, environment, class names; and more epochs for it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from dml.models import load_model_checkpoint
from entrypoints import SMALL, record, run, run_inside

WORDS = (*SMALL, "--scheduler", "constant", "--IPC", "6", "--eval-every", "1")


def words_of(digits: Path, logs: Path, name: str, *extra: str) -> list[str]:
    return ["--dataset", "folder", "--data-dir", digits, "--log-dir", logs, "--run-name", name, *WORDS, *extra]


def read(folder: Path, name: str = "config.json") -> dict:
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def short(digits, logs) -> Path:
    """The folder of a run of one epoch."""
    run("train.py", *words_of(digits, logs, "short", "--epochs", "1"))
    return logs / "folder" / "short"


def copied(run_folder: Path, to: Path) -> Path:
    shutil.copytree(run_folder, to)
    return to


def test_settings_environment_and_classes_are_on_record(short):
    config = read(short)
    assert config["loss"]["options"] == {"mrg": 0.1, "alpha": 32.0}
    assert (config["optim"]["proxy_lr_scale"], config["optim"]["head_lr"]) == (100, 3e-4)
    assert (config["data"]["sampler"], config["data"]["crop_size"]) == ("balanced", 32)
    assert config["evaluation"]["select"] == "test"
    (session,) = read(short, "environment.json")["sessions"]
    assert "train.py --dataset folder" in session["command"]
    assert session["versions"]["torch"] == torch.__version__
    assert (session["processes"], bool(session["device"])) == (1, True)
    for name in ("best.pt", "last.pt"):
        saved = torch.load(short / name, weights_only=True)
        assert saved["class_names"] == tuple(f"digit_{digit}" for digit in range(5))
        assert json.loads(json.dumps(saved["config"])) == config
    assert load_model_checkpoint(short / "best.pt").class_names == saved["class_names"]


def test_an_extended_run_is_the_one_that_was_planned_so(digits, short, tmp_path, capsys):
    folder = copied(short, tmp_path / "extended")
    run_inside("train.py", "--resume-run", folder, "--epochs", "2", "--pictures", "1", status=2, capsys=capsys)
    run_inside("train.py", "--resume-run", folder, "--epochs", "2", status=0, capsys=capsys)
    run_inside("train.py", *words_of(digits, tmp_path, "planned", "--epochs", "2"), status=0, capsys=capsys)
    planned = tmp_path / "folder" / "planned"
    assert record(folder) == record(planned)
    ours, theirs = (torch.load(f / "last.pt", weights_only=True) for f in (folder, planned))
    assert all(torch.equal(value, theirs["model"][name]) for name, value in ours["model"].items())
    assert (folder / "best_results.txt").read_text() == (planned / "best_results.txt").read_text()
    assert read(folder)["optim"]["epochs"] == ours["config"]["optim"]["epochs"] == 2
    first, second = read(folder, "environment.json")["sessions"]
    assert first == read(short, "environment.json")["sessions"][0]
    assert second["command"].endswith(f"--resume-run {folder} --epochs 2")


def test_what_cannot_be_extended_is_left_as_it_is(short, tmp_path, capsys):
    folder = copied(short, tmp_path / "cosine")
    config = read(folder)
    config["optim"]["scheduler"] = "cosine"
    (folder / "config.json").write_text(json.dumps(config))
    said = run_inside("train.py", "--resume-run", folder, "--epochs", "2", status=2, capsys=capsys).err
    assert "--scheduler cosine lowers the rate over all of them" in said
    assert read(folder) == config
    assert len(read(folder, "environment.json")["sessions"]) == 1


def test_a_run_of_an_older_version_goes_on(short, tmp_path, capsys):
    """Its config.json knew what was typed alone, its checkpoints no class names."""
    folder = copied(short, tmp_path / "older")
    (folder / "environment.json").unlink()
    config = read(folder)
    config["loss"] = {"loss": "Proxy_Anchor", "memory": False, "mixup": False, "miner": None, "options": {}}
    config["data"]["sampler"] = config["optim"]["proxy_lr_scale"] = config["optim"]["head_lr"] = None
    config["evaluation"]["select"] = config["run"]["group"] = None
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("best.pt", "last.pt"):
        saved = torch.load(folder / name, weights_only=True)
        del saved["class_names"]
        torch.save(saved | {"config": config}, folder / name)
    assert load_model_checkpoint(folder / "best.pt").class_names is None
    run_inside("evaluate.py", "--ckpt", folder / "best.pt", "--workers", "0", status=0, capsys=capsys)
    run_inside("train.py", "--resume-run", folder, "--epochs", "2", status=0, capsys=capsys)
    settled = read(short)
    settled["optim"]["epochs"] = 2
    assert read(folder) == settled
    assert [line["epoch"] for line in record(folder) if "train/loss" in line] == [1, 2]


def test_no_secret_is_recorded(digits, tmp_path, capsys):
    photos = copied(digits, tmp_path / "me:sesame@host" / "digits")
    words = words_of(photos, tmp_path / "logs", "secret", "--epochs", "1", "--wandb", "offline")
    run_inside("train.py", *words, status=0, capsys=capsys)
    folder = tmp_path / "logs" / "folder" / "secret"
    assert read(folder)["data"]["data_dir"].endswith("/***@host/digits")
    holding = [path for path in folder.rglob("*") if path.is_file() and b"sesame" in path.read_bytes()]
    assert not holding
