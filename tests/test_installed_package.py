"""The package installed: what is in it, and where data and runs are then."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

import dml
from dml.config import ROOT as PLACES
from entrypoints import ROOT

IN_THE_PACKAGE = {
    str(path.relative_to(ROOT / "code"))
    for path in (ROOT / "code" / "dml").rglob("*")
    if path.is_file() and path.suffix != ".pyc"
}
LIST_PLACES = (
    "import dml, dml.config as c, dml.training.run_folder as s;"
    " print(dml.__file__, c.DataConfig.data_dir, c.RunConfig.log_dir, s.SOURCES, sep='\\n')"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder of packages with this one: from a wheel where setuptools is there to build it, else copied."""
    folder = tmp_path_factory.mktemp("environment") / "site-packages"
    if find_spec("setuptools") is None or find_spec("pip") is None:
        shutil.copytree(ROOT / "code" / "dml", folder / "dml", ignore=shutil.ignore_patterns("__pycache__"))
        return folder
    source = folder.parent / "source"
    source.mkdir()
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "code", source / "code", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder.parent), "."]
    done = subprocess.run(
        [sys.executable, "-m", "pip", *words], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.parent.glob("*.whl")
    assert wheel.name == f"deep_metric_learning-{dml.__version__}-py3-none-any.whl"
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def places(*python_path: Path, cwd: Path) -> list[str]:
    program = f"import sys; sys.path[:0] = {list(map(str, python_path))!r}; {LIST_PLACES}"
    done = subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def extras() -> dict[str, list[str]]:
    """Name → packages with their bounds."""
    tomllib = pytest.importorskip("tomllib")  # Python 3.11's
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_the_whole_package_is_installed(installed):
    found = {str(path.relative_to(installed)) for path in (installed / "dml").rglob("*") if path.is_file()}
    assert found == IN_THE_PACKAGE
    assert "dml/py.typed" in found


def test_what_it_requires_is_what_requirements_say(installed):
    (metadata,) = [*installed.glob("*.dist-info/METADATA")] or pytest.skip("no setuptools or pip to build a wheel by")
    lines = metadata.read_text().splitlines()
    required = {line.removeprefix("Requires-Dist: ").split(">")[0].split("!")[0] for line in lines if "-Dist: " in line}
    written = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]
    extra = {package.split(">")[0] for packages in extras().values() for package in packages}
    assert required == {line.split(">")[0] for line in written} | extra
    assert "Requires-Python: >=3.10" in lines
    assert "License-Expression: MIT" in lines


def test_an_installed_package_works_where_it_is_started(installed, tmp_path):
    file, *found = places(installed, cwd=tmp_path)
    assert Path(file).is_relative_to(installed)
    assert found == [str(tmp_path / name) for name in ("data", "logs", "pretrained_source")]


def test_a_checkout_works_in_itself(tmp_path):
    file, *found = places(ROOT / "code", cwd=tmp_path)
    assert Path(file).is_relative_to(ROOT)
    assert found == [str(ROOT / name) for name in ("data", "logs", "pretrained_source")]
    assert PLACES == ROOT


def test_the_extras_are_those_of_the_tests():
    """One bound for a package that stands in two lists."""
    packages = {package for packages in extras().values() for package in packages}
    assert packages <= set((ROOT / "requirements-dev.txt").read_text().splitlines())
