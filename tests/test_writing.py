"""Files that cannot be written are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from dml.errors import UserError
from dml.tracking import Tracker
from dml.writing import naming, save_figure

FULL = Path("/dev/full")
needs_a_full_disk = pytest.mark.skipif(not FULL.exists(), reason="needs a disk that is full")


@needs_a_full_disk
def test_a_full_disk_is_said_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Tracker, "_num_lines", lambda self: 0)  # of zeros without an end
    for name in ("metrics.jsonl", "picture.png", "weights.pt"):
        (tmp_path / name).symlink_to(FULL)
    with pytest.raises(OSError, match=r"No space left on device: '.*metrics\.jsonl'"):
        Tracker(tmp_path).log(1, "train", {"loss": 1.0})
    with pytest.raises(OSError, match=r"No space left on device: '.*picture\.png'"):
        save_figure(Figure(), tmp_path / "picture.png")
    stream = (tmp_path / "weights.pt").open("wb", buffering=0)
    with stream, pytest.raises(OSError, match=r"No space left on device: 'weights\.pt'"), naming("weights.pt"):
        torch.save(torch.zeros(100_000), stream)


@pytest.mark.parametrize("error", [RuntimeError("shapes"), UserError("--json"), OSError("of no system")])
def test_other_errors_are_left_as_they_are(error):
    with pytest.raises(type(error)) as raised, naming("file"):
        raise error
    assert raised.value is error
