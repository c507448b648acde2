"""The command lines are read as on a machine with cores enough for every published default."""

from __future__ import annotations

import pytest

from dml.cli import workers


@pytest.fixture(autouse=True)
def many_cores(monkeypatch) -> None:
    monkeypatch.setattr(workers, "cores", lambda: 64)
