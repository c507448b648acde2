"""The command line of compare.py."""

from __future__ import annotations

import pytest

from dml.cli.compare import parse_compare
from dml.config import ROOT


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "required: PLAN"),
        (["plan.toml", "--jobs", "0"], "--jobs must be at least 1"),
        (["plan.toml", "--slurm", "time=3"], "--slurm says how jobs are submitted: add --submit slurm"),
        (["plan.toml", "--submit", "slurm", "--slurm", "time"], "--slurm time: reads KEY=VALUE"),
        (["plan.toml", "--submit", "lsf"], "--submit"),
        (["plan.toml", "--weights", "/no/such.pth"], "--weights /no/such.pth: is not there"),
        (["plan.toml", "--data-dir", "/no/such"], "--data-dir /no/such: is not there"),
        (["plan.toml", "--out", "/dev/null/x"], "--out /dev/null/x: cannot make anything"),
        (["plan.toml", "--seed", "1"], "unknown argument --seed"),
    ],
)
def test_mistakes(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        parse_compare(words)
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_another_process_of_the_same_comparison(tmp_path):
    (tmp_path / "w.pth").touch()
    words = [
        "a.toml",
        "--out",
        str(tmp_path / "out"),
        "--data_dir",
        str(tmp_path),
        "--weights",
        str(tmp_path / "w.pth"),
    ]
    command = parse_compare([*words, "--jobs", "3", "--workers", "0"])
    again = parse_compare(command.words())
    assert (again.out, again.data_dir, again.weights, again.workers) == (tmp_path / "out", tmp_path, command.weights, 0)
    assert (command.jobs, again.jobs) == (3, 1)
    assert parse_compare(["plans/cub.toml"]).out == ROOT / "logs" / "compare" / "cub"
