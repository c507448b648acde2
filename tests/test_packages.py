"""A Python that lacks the packages: one line that says what helps; and the scripts find the one that has them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints import ROOT

PROGRAMS = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("code/*.py"), *ROOT.glob("scripts/*.py")])
OF_PLAIN_PYTHON = {Path("scripts/gpu_check.py")}
ACTIVE = ("PYTHON", "VIRTUAL_ENV")


def environment(**variables: str | Path) -> dict[str, str]:
    """Without an active environment, but for ``variables``."""
    own = {name: value for name, value in os.environ.items() if name not in ACTIVE}
    return own | {name: str(value) for name, value in variables.items()}


def said(*command: str | Path, folder: Path, status: int = 0, **variables: str | Path) -> str:
    """What the command prints, which ends with ``status``."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """The programs and scripts without an environment beside them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("code", "scripts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def python_in(folder: Path) -> Path:
    """A program that says its own path and its words."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "python3"
    program.write_text(f'#!/bin/sh\necho "{program}" "$@"\n')
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("program", [path for path in PROGRAMS if path not in OF_PLAIN_PYTHON], ids=str)
def test_without_packages_one_line_says_what_helps(checkout, program):
    """``-S`` leaves out what is installed beside the standard library."""
    line = said(sys.executable, "-S", program, "--help", folder=checkout, status=2)
    assert line.startswith(f"{program.name}: error: ")
    assert line.count("\n") == 1
    assert line.endswith(f"in this Python, {sys.executable}: `make venv` installs all that is needed into .venv\n")


def test_an_environment_that_is_there_is_named(checkout, tmp_path):
    folder = tmp_path / "repository"
    shutil.copytree(checkout / "code", folder / "code")
    python_in(folder / ".venv" / "bin").rename(folder / ".venv" / "bin" / "python")
    line = said(sys.executable, "-S", "code/train.py", folder=folder, status=2)
    assert line.startswith("train.py: error: ")
    assert "is missing in this Python" in line
    assert line.endswith(": `source .venv/bin/activate`, or .venv/bin/python code/train.py\n")
    outside = said(sys.executable, "-S", folder / "code/train.py", folder=tmp_path, status=2)
    assert outside.endswith(
        f": `source repository/.venv/bin/activate`, or repository/.venv/bin/python {folder}/code/train.py\n"
    )


def test_other_failures_to_import_keep_their_traceback(checkout, tmp_path):
    shutil.copytree(checkout / "code", tmp_path / "code")
    (tmp_path / "code" / "dml" / "signals.py").unlink()
    assert "ModuleNotFoundError: No module named 'dml.signals'" in said(
        sys.executable, "code/report.py", folder=tmp_path, status=1
    )


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="this Python is of no environment that could be activated")
def test_python_works_once_the_environment_is_active():
    """What `make demo` prints at its end, and what the README says."""
    activate = Path(sys.prefix) / "bin" / "activate"
    command = f"source {activate} && python code/train.py --help"
    assert "usage: train.py" in said("bash", "-c", command, folder=ROOT)


@pytest.mark.parametrize("script", ["scripts/cub/lsd_triplet.sh", "scripts/cub/transfer_self_rkd.sh"])
def test_scripts_find_their_python(checkout, tmp_path, script):
    folder = tmp_path / "repository"
    shutil.copytree(checkout / "scripts", folder / "scripts")
    own = python_in(folder / ".venv" / "bin")
    own = own.rename(own.with_name("python"))
    other, system = python_in(tmp_path / "other"), python_in(tmp_path / "system")
    path = f"{system.parent}:{os.environ['PATH']}"
    assert said("bash", script, folder=folder, PATH=path).startswith(
        f"{own.with_name('python3')} scripts/cub/../../code/"
    )
    assert said("bash", script, folder=folder, PATH=path, PYTHON=other).startswith(f"{other} ")
    assert said("bash", script, folder=folder, PATH=path, VIRTUAL_ENV="/active").startswith(f"{system} ")
    own.unlink()
    assert said("bash", script, folder=folder, PATH=path).startswith(f"{system} ")


def test_every_script_leaves_it_to_one_to_find_the_python():
    scripts = [*ROOT.glob("scripts/*/*.sh"), *ROOT.glob("scripts/*.sh")]
    assert len(scripts) > 200
    assert not [script for script in scripts if "python3" in script.read_text()]
