"""Digits laid out as a benchmark, and a plan over them that trains in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from small_plan import PLAN, laid_out


@pytest.fixture(scope="session")
def benchmark(digits, tmp_path_factory) -> Path:
    """A ``--data-dir``."""
    return laid_out(digits, tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="session")
def plan_file(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("plans") / "digits.toml"
    file.write_text(PLAN)
    return file
