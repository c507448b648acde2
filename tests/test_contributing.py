"""The lists of CONTRIBUTING.md: each, applied as printed to a copy of the repository, really adds what it says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints import ROOT, SMALL, record

PAGE = ROOT / "CONTRIBUTING.md"
BLOCK = re.compile(r"^```(python|diff)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Title of a list → tests of the repository that try what it adds, chosen by its name.
LISTS = {
    "A loss": ("tests/losses/test_loss_contract.py", "my_loss"),
    "A data set": ("tests/data/test_data_dir.py", "my_set"),
    "A backbone": ("tests/models/test_models_network.py", "my_net"),
    "A method": ("tests/cli/test_cli_ranges.py", "my_weight or my-weight"),
    "A metric": ("tests/test_metric_names.py", "explains or function"),
}


def blocks_of(title: str) -> list[tuple[str, str]]:
    """Language and text of each block under a heading."""
    section = re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{title}\n")]
    return BLOCK.findall(text)


def apply(title: str, copy: Path) -> dict[str, int]:
    """Do what a list says in a copy of the repository; file → how many lines are new in it."""
    touched: dict[str, int] = {}
    for language, text in blocks_of(title):
        head, _, body = text.partition("\n")
        if language == "python":
            path = copy / head.removeprefix("# ")
            assert not path.exists(), f"{head} is there already"
            path.write_text(body)
            new = body.count("\n")
        else:
            path = copy / head.removeprefix("--- ")
            lines = body.splitlines()
            before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
            after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
            there = path.read_text()
            assert there.count(before) == 1, f"{path.name} does not have once:\n{before}"
            path.write_text(there.replace(before, after))
            new = sum(line.startswith("+") for line in lines)
        name = str(path.relative_to(copy))
        touched[name] = touched.get(name, 0) + new
    return touched


def copy_of_repository(folder: Path) -> Path:
    """What can be changed is copied, the rest linked."""
    unwanted = shutil.ignore_patterns("__pycache__", "*.npz")
    for name in ("code", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("scripts", "pyproject.toml", "README.md", "CONTRIBUTING.md", "Makefile"):
        (folder / name).symlink_to(ROOT / name)
    return folder


def python(copy: Path, *arguments: str) -> str:
    """Run Python in the copy to a good end; what it printed."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "2"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("title", LISTS)
def test_a_list_is_complete(title, tmp_path):
    copy = copy_of_repository(tmp_path)
    touched = apply(title, copy)
    print(f"{title}: {len(touched)} files, {sum(touched.values())} lines")
    (own,) = [name for name in touched if name.startswith("tests/")]
    contract, named = LISTS[title]
    own_stem = Path(own).stem
    out = python(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", own, contract, "-k", f"{own_stem} or {named}")
    passed = int(re.search(r"(\d+) passed", out)[1])
    assert passed >= 2, out  # its own, and one of those that were there
    files = [str(copy / name) for name in touched if name.endswith(".py")]
    options = ("--config", str(ROOT / "pyproject.toml"))
    python(copy, "-m", "ruff", "check", "-q", *options, *files)
    python(copy, "-m", "ruff", "format", "-q", "--check", *options, *files)


def test_all_of_them_train_together(digits, tmp_path):
    copy = copy_of_repository(tmp_path)
    for title in LISTS:
        apply(title, copy)
    (copy / "data").mkdir()
    (copy / "data" / "my_set").symlink_to(digits)
    flags = dict(zip(SMALL[::2], SMALL[1::2], strict=True))
    flags |= {"--dataset": "my_set", "--loss": "my_loss", "--my-margin": "0.2", "--model": "my_net", "--my-weight": "2"}
    flags |= {"--epochs": "1", "--run-name": "toy", "--log-dir": str(tmp_path / "logs"), "--select-metric": "my_metric"}
    del flags["--data-name"]
    words = [word for pair in flags.items() for word in pair]
    data = ("--data-dir", str(copy / "data"), "--metrics", "recall", "my_metric")
    python(copy, "code/train.py", *words, *data)
    run = tmp_path / "logs" / "my_set" / "toy"
    recorded = {key: value for line in record(run) for key, value in line.items()}
    assert recorded["eval/my_metric"] == pytest.approx(1 - recorded["eval/recall_at_1"])
    assert recorded["train/my_term"] > 0
    again = python(copy, "code/evaluate.py", "--ckpt", str(run / "best.pt"), "--data-dir", str(copy / "data"))
    assert "my metric" in again
