"""What ``~`` at the beginning of a place means, wherever the place was named."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

from dml.config import DataConfig
from dml.data import load_dataset
from dml.places import expanded, from_home
from entrypoints import run_inside

NOBODY = "~nobody_of_that_name/x"
TOLD = f"{NOBODY}: there is no user 'nobody_of_that_name', whose home ~nobody_of_that_name means"


def test_a_home_and_what_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert from_home("~/x") == expanded(Path("~/x")) == tmp_path / "x"
    assert from_home("a~b") == Path("a~b")
    assert expanded(NOBODY) == Path(NOBODY)
    with pytest.raises(ValueError, match=TOLD):
        from_home(NOBODY)
    Path(NOBODY).mkdir(parents=True)  # that is what is meant then
    assert from_home(NOBODY) == Path(NOBODY)


def test_whoever_reads_it():
    with pytest.raises(ValueError, match=TOLD):
        load_dataset("folder", NOBODY)
    with pytest.raises(ValueError, match=TOLD):
        _ = DataConfig(dataset="folder", data_dir=NOBODY).name


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Published weights, with which evaluation gets as far as its data."""
    from torchvision.models import resnet18

    file = tmp_path_factory.mktemp("weights") / "published.pth"
    state = {f"model.{name}": value for name, value in resnet18().state_dict().items() if not name.startswith("fc.")}
    state |= {"model.embedding.weight": torch.zeros(16, 512), "model.embedding.bias": torch.zeros(16)}
    torch.save({"model_state_dict": state}, file)
    return file


OWN = ("--dataset", "folder", "--data-dir")
SOME = ("--model", "resnet18", "--pretrained", "0", "--epochs", "1", "--wandb", "disabled")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("train.py", (*OWN, NOBODY, *SOME)),
        ("train.py", ("--dataset", "cub", "--data-dir", NOBODY, *SOME)),
        ("train.py", ("--dataset", "glyphs", "--log-dir", NOBODY, *SOME)),
        ("train.py", ("--resume-run", NOBODY)),
        ("train_target.py", (*OWN, NOBODY, "--source-ckpt", "CHECKPOINT", *SOME)),
        ("train_stml.py", (*OWN, NOBODY, *SOME)),
        ("train_stml.py", (*OWN, NOBODY, "--unlabelled", *SOME)),
        ("classify.py", (*OWN, NOBODY, "--model", "resnet18", "--wandb", "disabled")),
        ("classify.py", ("--evaluate", NOBODY)),
        ("evaluate.py", (*OWN, NOBODY, "--ckpt", "CHECKPOINT")),
        ("evaluate.py", (*OWN, NOBODY, "--ckpt", "CHECKPOINT", "--unlabelled", "--tsne", "CHECKPOINT.html")),
        ("evaluate.py", ("--ckpt", NOBODY)),
        ("report.py", (NOBODY,)),
    ],
)
def test_every_program_says_it_in_a_line(entry, words, checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("CHECKPOINT", str(checkpoint)) for word in words]
    said = run_inside(entry, *words, status=2, capsys=capsys).err
    errors = [line for line in said.splitlines() if not line.startswith("warning: ")]
    assert len(errors) == 1 and NOBODY in errors[0], said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["verify_dataset", "download_dataset"])
def test_scripts_too(script, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(script).main(["cub", "--data-dir", NOBODY])
    assert stop.value.code == 2
    assert TOLD in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
