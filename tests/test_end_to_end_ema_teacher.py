"""A moving-average teacher as a user asks for it: killed and continued, longer than planned, in bfloat16."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch

from dml.methods.supervised import SupervisedMethod
from entrypoints import record, run_inside
from test_end_to_end_lsd import arguments, method_state

EMA = [*("--loss", "Proxy_Anchor", "--ema-teacher", "--ema-momentum", "0.9", "--ema-weight", "50"), "--epochs", "2"]


@pytest.fixture
def whole(digits, logs, capsys) -> Path:
    """An uninterrupted run of two epochs of five batches, made once."""
    folder = logs / "folder" / "ema_whole"
    if not folder.exists():
        run_inside("train.py", *arguments(digits, logs, *EMA, "--run-name", folder.name), status=0, capsys=capsys)
    return folder


def test_interrupted_and_resumed_equals_uninterrupted(digits, whole, tmp_path, capsys, monkeypatch):
    """In the middle of an epoch, when the teacher is neither the student nor what it was at its beginning."""
    follow, calls = SupervisedMethod.after_optimizer_step, []

    def signalled(method):
        follow(method)
        calls.append(method)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(SupervisedMethod, "after_optimizer_step", signalled)
        words = arguments(digits, tmp_path, *EMA, "--run-name", "stopped")
        run_inside("train.py", *words, status=130, capsys=capsys)
    stopped = tmp_path / "folder" / "stopped"
    assert torch.load(stopped / "last.pt", weights_only=True)["state"]["batches_done"] == 2
    run_inside("train.py", "--resume-run", stopped, status=0, capsys=capsys)
    assert record(stopped) == record(whole)
    torch.testing.assert_close(method_state(stopped), method_state(whole), rtol=0, atol=0)


def test_what_the_run_keeps(whole):
    state, kept = method_state(whole), torch.load(whole / "best.pt", weights_only=True)
    assert any(name.startswith("ema_teacher.teacher.") for name in state)
    assert not any(name.startswith("ema_teacher.") for name in kept["method"])
    student = torch.load(whole / "last.pt", weights_only=True)["model"]["embedding.weight"]
    assert not torch.equal(state["ema_teacher.teacher.network.embedding.weight"], student)
    config = json.loads((whole / "config.json").read_text())
    assert config["ema_teacher"] == {"ema_momentum": 0.9, "ema_weight": 50.0, "ema_tau": 1.0}
    for line in (line for line in record(whole) if "train/loss" in line):
        parts = line["train/rank_loss"] + line["train/ema_teacher_loss"]
        assert line["train/loss"] == pytest.approx(parts, rel=1e-5)
        assert line["train/ema_teacher_loss"] > 0


def test_more_epochs_than_planned_go_on_as_planned_so(digits, whole, tmp_path, capsys):
    """No step depends on how many there will be."""
    words = arguments(digits, tmp_path, *EMA, "--run-name", "short")
    words[words.index("--epochs") + 1] = "1"
    run_inside("train.py", *words, status=0, capsys=capsys)
    run_inside("train.py", "--resume-run", tmp_path / "folder" / "short", "--epochs", "2", status=0, capsys=capsys)
    torch.testing.assert_close(method_state(tmp_path / "folder" / "short"), method_state(whole), rtol=0, atol=0)


def test_in_bfloat16_beside_self_distillation_and_the_introspective_metric(digits, tmp_path, capsys):
    words = arguments(digits, tmp_path, *EMA, "--run-name", "mixed", "--precision", "bf16-mixed", "--introspective")
    words[words.index("--loss") + 1] = "Proxy_Anchor_lsd"
    run_inside("train.py", *words, status=0, capsys=capsys)
    last = [line for line in record(tmp_path / "folder" / "mixed") if "train/loss" in line][-1]
    assert {"train/rank_loss", "train/kd_loss", "train/ema_teacher_loss"} <= set(last)
    assert last["train/ema_teacher_loss"] > 0
    state = method_state(tmp_path / "folder" / "mixed")
    teachers = ("distillation.teacher.network.", "ema_teacher.teacher.network.")
    assert all(state[f"{teacher}embedding.weight"].dtype == torch.float32 for teacher in teachers)
