"""A loss of pytorch-metric-learning as a user trains it: its weights are saved, and go on where they were."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import torch

from entrypoints import SMALL, record, run, start, wait_for

ARC_FACE = [
    *("--loss", "pml/SubCenterArcFaceLoss", "--loss-args", '{"sub_centers": 2}', "--IPC", "4", "--epochs", "3"),
    *("--miner", "pml/BatchHardMiner"),
]


def test_killed_and_continued_equals_uninterrupted(digits, tmp_path):
    arguments = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, *ARC_FACE]
    run("train.py", *arguments, "--run-name", "whole")
    whole, killed = (tmp_path / "folder" / name for name in ("whole", "killed"))
    process = start("train.py", *arguments, "--run-name", "killed")
    wait_for(lambda: (killed / "last.pt").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run("train.py", "--resume-run", killed)
    assert record(killed) == record(whole)
    states = [torch.load(folder / "last.pt", weights_only=True)["method"] for folder in (whole, killed)]
    (name,) = (name for name in states[0] if name.endswith("loss.W"))
    assert states[0][name].shape == (16, 5 * 2)
    torch.testing.assert_close(states[1][name], states[0][name], rtol=0, atol=0)
    assert json.loads((Path(whole) / "config.json").read_text())["optim"]["proxy_lr_scale"] == 100
