"""Proxy-ISA as a user runs it: through its phases, with pages, killed in the last phase and continued."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

from dml.config import ConfigWarning
from entrypoints import SMALL, record, run, run_inside, start, wait_for

# 120 training images in batches of 24: memory from the first epoch, filter from the second; h and V filter much.
ISA = [
    *("--loss", "ProxyISA", "--enableMemory", "True", "--T", "50", "--start_epoch", "0", "--isa-h", "1.5", "--V", "8"),
    *("--epochs", "4", "--init_type", "center", "--IPC", "4", "--recipe", "proxy_isa"),
]


def arguments(digits: Path, logs: Path, *extra: str) -> list[str]:
    return ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(logs), *SMALL, *ISA, *extra]


@pytest.fixture(scope="module")
def finished(digits, logs) -> tuple[Path, str]:
    done = run("train.py", *arguments(digits, logs, "--run-name", "whole", "--visualize"))
    return logs / "folder" / "whole", done.stdout


def method_state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "last.pt", weights_only=True)["method"]


def test_all_phases_ran(finished):
    state = method_state(finished[0])
    counted = int(state["criterion.counter"].sum())
    assert 24 * 5 < counted < 4 * 24 * 5, "some samples were filtered, not all"
    assert int(state["criterion.memory.written"]) == 50
    assert (state["criterion.learned_similarity"] != 1).all()


def test_it_is_selected_by_map_at_r(finished):
    folder, said = finished
    assert "Proxy-ISA defaults" in said
    assert "best epoch by map_at_r" in said
    judged = {line["epoch"]: line["eval/map_at_r"] for line in record(folder) if "eval/map_at_r" in line}
    best = max(value for epoch, value in judged.items() if epoch)  # not of the untrained network
    assert torch.load(folder / "best.pt", weights_only=True)["metrics"]["eval"]["map_at_r"] == best


def test_pages_are_drawn_at_the_start(finished):
    folder, said = finished
    for name in ("tsne_2d_epoch_0.html", "tsne_3d_epoch_0.html"):
        assert "proxy of digit_0" in (folder / name).read_text()
        assert str(folder / name) in said
    assert len(list(folder.glob("tsne_*d_epoch_*.html"))) == 2


def test_killed_in_the_filter_phase_and_resumed_equals_uninterrupted(digits, tmp_path, capsys, finished):
    process = start("train.py", *arguments(digits, tmp_path, "--run-name", "killed"))
    folder = tmp_path / "folder" / "killed"
    wait_for(lambda: (folder / "last.pt").exists() and record(folder)[-1]["epoch"] >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(record(folder)) < len(record(finished[0]))
    run_inside("train.py", "--resume-run", folder, status=0, capsys=capsys)
    assert record(folder) == record(finished[0])
    theirs = method_state(finished[0])
    for name, value in method_state(folder).items():
        torch.testing.assert_close(value, theirs[name], rtol=0, atol=0, msg=name)


def test_a_pair_loss_with_memory_trains(digits, tmp_path, capsys):
    options = ["--loss", "MS", "--enableMemory", "--T", "60", "--start-epoch", "1", "--epochs", "2"]
    options += ["--recipe", "proxy_isa"]
    command = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, *options]
    run_inside("train.py", *command, "--run-name", "pairs", status=0, capsys=capsys)
    assert int(method_state(tmp_path / "folder" / "pairs")["criterion.memory.written"]) == 60


def test_without_memory_it_trains_in_its_first_phase(digits, tmp_path, capsys):
    command = ["--dataset", "folder", "--data-dir", digits, "--log-dir", tmp_path, *SMALL, "--loss", "ProxyISA"]
    command += ["--recipe", "proxy_isa"]
    with pytest.warns(ConfigWarning, match="stays in its first phase"):
        run_inside("train.py", *command, "--epochs", "1", "--run-name", "plain", status=0, capsys=capsys)
    state = method_state(tmp_path / "folder" / "plain")
    assert int(state["criterion.counter"].sum()) == 120
    assert not any("memory" in name for name in state)
