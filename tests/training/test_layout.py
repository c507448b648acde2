"""A run in channels_last: recorded, continued as if it had not stopped, and read again as it was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dml.cli.train import parse_train
from dml.models.convert import load_model_checkpoint
from dml.programs import supervised
from methods.test_steps_of_two_processes import SMALL

FLAGS = (
    *(
        "--dataset",
        "folder",
        "--model",
        "resnet18",
        "--pretrained",
        "0",
        "--embedding-size",
        "8",
        "--wandb",
        "disabled",
    ),
    *("--crop-size", "16", "--resize", "16", "--workers", "0", "--pictures", "0", "--baselines", "0", "--warm", "0"),
    *("--batch-size", "40", "--optimizer", "adamp", "--scheduler", "constant", "--memory-format", "channels_last"),
)


def lines(folder: Path) -> list[dict]:
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.endswith(("seconds", "wait", "second"))} for line in read]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_run_goes_on_as_if_it_had_not_stopped(digits, tmp_path, capsys):
    where = ("--data-dir", str(digits), "--log-dir", str(tmp_path))
    with SMALL:
        whole = supervised.run(parse_train([*FLAGS, *where, "--run-name", "whole", "--epochs", "2"]))
        assert "; 32, channels_last" in capsys.readouterr().out
        parts = supervised.run(parse_train([*FLAGS, *where, "--run-name", "parts", "--epochs", "1"]))
        supervised.run(parse_train(["--resume-run", str(parts), "--epochs", "2"]))
        assert json.loads((parts / "config.json").read_text())["run"]["memory_format"] == "channels_last"
        assert lines(parts) == lines(whole)
        model = load_model_checkpoint(parts / "best.pt").model
    assert any(
        weight.is_contiguous(memory_format=torch.channels_last) and not weight.is_contiguous()
        for weight in model.parameters()
        if weight.ndim == 4
    )
