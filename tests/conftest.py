"""Shared by all tests: the reference folders, a small set of real images, two threads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType

import pytest
import torch

os.environ.setdefault("WANDB_MODE", "disabled")
torch.set_num_threads(2)
if hasattr(signal, "SIGHUP"):  # which nohup has ignored; programs leave it so
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reference-dir",
        action="append",
        default=None,
        help="folder of reference vectors (.npz) to run test_reference.py on; repeatable",
    )


STARTERS = {
    *(("entrypoints", name) for name in ("run", "run_inside", "start")),
    ("two_processes", "in_two_processes"),
    ("slurm_cluster", "cluster"),
    ("untrained", "untrained"),
    ("browser", "browser"),
}


@cache
def is_slow(module: ModuleType) -> bool:
    """Whether the tests of a module run our programs, start processes or build networks: it imports what does."""
    there = vars(module).values()
    named = [(value.__module__, value.__name__) for value in there if isinstance(value, FunctionType | type)]
    return (
        any(value is subprocess for value in there)
        or not STARTERS.isdisjoint(named)
        or any(f"{origin}.".startswith(("dml.models.", "dml.training.")) for origin, _ in named)
    )


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(item.module):
            item.add_marker("slow")
    if not torch.cuda.is_available():
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the runs are that a module's tests share; checkpoints are large, so it goes with the last of them."""
    folder = tmp_path_factory.mktemp("logs")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten classes with 24 real images each: handwritten digits that ship inside scikit-learn."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digits")
    images, labels = load_digits(return_X_y=True)
    for digit in range(10):
        (folder / f"digit_{digit}").mkdir()
        for number, pixels in enumerate(images[labels == digit][:24]):
            grey = Image.fromarray((pixels.reshape(8, 8) * 15.9).astype("uint8"))
            grey.resize((32, 32), Image.Resampling.BILINEAR).save(folder / f"digit_{digit}" / f"{number:02d}.png")
    return folder


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The texts of the figures that are saved; fails for one that is a formula."""
    from matplotlib.figure import Figure
    from matplotlib.text import Text

    texts: set[str] = set()
    save = Figure.savefig

    def saving(figure, *arguments, **options):
        save(figure, *arguments, **options)
        for text in figure.findobj(Text):
            assert not text.get_parse_math()
            texts.add(text.get_text())

    monkeypatch.setattr(Figure, "savefig", saving)
    return texts
