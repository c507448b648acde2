"""A fault of the program in the middle of a run: nothing of it is hidden, and the run goes on once it is mended."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from entrypoints import ROOT, SMALL, environment, record, run

# train.py with a fault in its third step's loss, as numpy and torch raise it of shapes that do not fit.
FAULTY = f"""
import runpy, sys
sys.argv[0] = {str(ROOT / "code" / "train.py")!r}
sys.path.insert(0, {str(ROOT / "code")!r})
import numpy as np
from dml.losses.proxies.proxy_anchor import ProxyAnchorLoss as ProxyAnchor
forward, calls = ProxyAnchor.forward, []
def faulty(self, *arguments, **options):
    calls.append(1)
    return forward(self, *arguments, **options) if len(calls) < 12 else np.ones(3) + np.ones(4)
ProxyAnchor.forward = faulty
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_fault_is_told_from_a_mistake(digits, tmp_path):
    arguments = ["--dataset", "folder", "--data-dir", str(digits), "--log-dir", str(tmp_path), *SMALL, "--epochs", "3"]
    command = [sys.executable, "-c", FAULTY, *arguments, "--run-name", "faulty"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stderr
    folder = tmp_path / "folder" / "faulty"
    error = "ValueError: operands could not be broadcast together with shapes (3,) (4,) "
    assert "Traceback (most recent call last)" in done.stderr
    assert error.strip() in done.stderr
    assert error.strip() in (folder / "traceback.txt").read_text()
    assert f"The traceback is in {folder / 'traceback.txt'}." in done.stderr
    hint = done.stderr[done.stderr.index("Continue with:") :].splitlines()[1]
    assert shlex.split(hint)[-2:] == ["--resume-run", str(folder)]
    mended = subprocess.run(
        hint,
        shell=True,
        cwd=tmp_path,
        env=environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert mended.returncode == 0, mended.stderr
    run("train.py", *arguments, "--run-name", "whole")
    assert record(folder) == record(folder.with_name("whole"))
