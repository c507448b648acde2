"""What a session hands on of a user's own photographs."""

from __future__ import annotations

from unittest import mock

import pytest
from lightning_fabric import Fabric

from dml.cli.train import parse_train
from dml.training import session


@pytest.mark.parametrize(
    ("flags", "sends", "said"),
    [
        (("--dataset", "folder"), False, "pictures that show your images stay here (--wandb-pictures 1 sends them)"),
        (("--dataset", "folder", "--wandb-pictures"), True, "W&B is given pictures that show your images too"),
        (("--dataset", "cub"), True, ""),
    ],
)
def test_photographs_go_to_wandb_only_where_they_are_to(tmp_path, monkeypatch, capsys, flags, sends, said):
    monkeypatch.setattr(session, "open_wandb", lambda *_, **__: mock.Mock())
    tracker = session._tracker(parse_train(flags).config, Fabric(accelerator="cpu", devices=1), tmp_path)
    assert tracker.sends_images is sends
    told = capsys.readouterr().out
    assert said in told
    assert bool(told) is bool(said)
