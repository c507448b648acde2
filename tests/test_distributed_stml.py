"""Two processes learn without labels as one does: neighbours, views and teacher are those of the global batch."""

from __future__ import annotations

import pytest
import torch

from entrypoints import run_inside
from test_distributed import same_run, torchrun
from test_end_to_end_stml import STML, arguments_of, list_of


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="torch without gloo")
def test_two_processes_equal_one(digits, tmp_path, capsys):
    data = list_of(digits, tmp_path / "list.csv")
    fixed = ("--epochs", "1", "--bn-freeze", "1", "--optimizer", "sgd", "--batch-size", "24")
    run_inside("main.py", *arguments_of(data, tmp_path, "one", *STML, *fixed), status=0, capsys=capsys)
    assert "2 processes" in torchrun("train_stml.py", *arguments_of(data, tmp_path, "two", *STML, *fixed))
    same_run(*(tmp_path / "folder" / name for name in ("one", "two")))
