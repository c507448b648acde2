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
# Title of a list → tests of the repository that try what it adds, and a word of their names.
LISTS = {
    "A loss": ("tests/losses/test_loss_contract.py", "my_loss"),
    "A data set": ("tests/data/test_data_dir.py", "my_set"),
    "A backbone": ("tests/models/test_models_network.py", "announces and my_net"),
    "A term": ("tests/cli/test_cli_ranges.py", "my_weight"),
    "A method": ("tests/cli/test_cli_ranges.py", "my_every"),
    "A metric": ("tests/test_metric_names.py", "explains"),
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


@pytest.fixture(scope="module")
def extended(tmp_path_factory) -> tuple[Path, dict[str, dict[str, int]]]:
    """The copy to which every list was applied, and what each touched."""
    copy = copy_of_repository(tmp_path_factory.mktemp("extended"))
    return copy, {title: apply(title, copy) for title in LISTS}


@pytest.fixture(scope="module")
def outcomes(extended) -> str:
    """What pytest says in the copy of the tests that the lists add and of those that try what they add."""
    copy, touched = extended
    own = [name for files in touched.values() for name in files if name.startswith("tests/")]
    theirs = [file for file, _ in LISTS.values()]
    named = " or ".join([*(Path(name).stem for name in own), *(f"({word})" for _, word in LISTS.values())])
    return python(copy, "-m", "pytest", "-v", "-p", "no:cacheprovider", *own, *theirs, "-k", named)


@pytest.mark.parametrize("title", LISTS)
def test_what_a_list_adds_passes(title, extended, outcomes):
    touched = extended[1][title]
    print(f"{title}: {len(touched)} files, {sum(touched.values())} lines")
    (own,) = [name for name in touched if name.startswith("tests/")]
    for file in (own, LISTS[title][0]):
        assert re.search(rf"^{re.escape(file)}::.* PASSED", outcomes, re.MULTILINE), outcomes


def test_a_changed_place_is_noticed(tmp_path):
    copy = copy_of_repository(tmp_path)
    names = copy / "code" / "dml" / "metric_names.py"
    names.write_text(
        names.read_text().replace('"precision_at_1": MetricName("P@1"', '"precision_at_1": MetricName("P1"')
    )
    with pytest.raises(AssertionError, match=r"metric_names\.py does not have once"):
        apply("A metric", copy)


def test_what_is_printed_is_in_the_style_of_the_house(extended):
    copy, touched = extended
    files = [str(copy / name) for files in touched.values() for name in files if name.endswith(".py")]
    for words in (("check", "-q"), ("format", "-q", "--check")):
        python(copy, "-m", "ruff", *words, "--no-cache", "--config", str(ROOT / "pyproject.toml"), *files)


def test_all_of_them_train_together(extended, digits, tmp_path):
    copy, _ = extended
    data = tmp_path / "data"
    data.mkdir()
    (data / "my_set").symlink_to(digits)
    flags = dict(zip(SMALL[::2], SMALL[1::2], strict=True))
    flags |= {"--dataset": "my_set", "--loss": "my_loss", "--my-margin": "0.2", "--model": "my_net", "--my-weight": "2"}
    flags |= {"--my-every": "2"}
    flags |= {"--epochs": "1", "--run-name": "toy", "--log-dir": str(tmp_path), "--select-metric": "my_metric"}
    flags |= {"--data-dir": str(data)}
    del flags["--data-name"]
    words = [word for pair in flags.items() for word in pair]
    metrics = ("recall", "precision_at_1", "r_precision", "my_metric")
    python(copy, "code/train.py", *words, "--metrics", *metrics)
    recorded = {key: value for line in record(tmp_path / "my_set" / "toy") for key, value in line.items()}
    mean = (recorded["eval/precision_at_1"] + recorded["eval/r_precision"]) / 2
    assert recorded["eval/my_metric"] == pytest.approx(mean)
    assert recorded["train/my_term_loss"] > 0
