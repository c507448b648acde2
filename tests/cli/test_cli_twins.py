"""Spellings of a loss that differ by a letter: the twin is named, with what it would do otherwise."""

from __future__ import annotations

from types import SimpleNamespace
from unittest import mock

import pytest

from dml.cli.train import parse_train
from dml.cli.twins import twins_of
from dml.losses import LOSSES
from dml.programs import supervised
from entrypoints import run


def remarks(*arguments: str) -> tuple[str, ...]:
    return parse_train(arguments).remarks


@pytest.mark.parametrize(
    ("loss", "twins"),
    [
        ("Proxy_Anchor", ["ProxyAnchor"]),
        ("proxy_anchor", ["ProxyAnchor"]),
        ("Triplet", ["triplet"]),
        ("Triplet_lsd", ["triplet_lsd"]),
        ("proxynca", ["Proxy_NCA", "ProxyNCA"]),
        ("ProxyISA", ["proxy_isa"]),
        ("MS", []),
        ("margin", []),
    ],
)
def test_twins(loss, twins):
    assert twins_of(loss) == twins


def test_twins_are_mutual_and_of_the_same_letters():
    for name in (*LOSSES.aliases, *LOSSES):
        for twin in twins_of(name):
            assert twin.lower().replace("_", "") == name.lower().replace("_", "")
            assert any(LOSSES.canonical(back) == LOSSES.canonical(name) for back in twins_of(twin))


def test_with_a_memory_both_spellings_are_one():
    assert remarks("--loss", "ProxyISA") == ("ProxyISA is not proxy_isa (another function)",)
    assert remarks("--loss", "ProxyISA", "--enableMemory") == ()


@pytest.mark.parametrize("loss", ["Proxy_Anchor", "ProxyAnchor", "Triplet", "triplet", "Contrastive", "npair"])
def test_what_is_said_is_what_both_commands_resolve_to(loss):
    (said,) = remarks("--loss", loss)
    (twin,) = twins_of(loss)
    ours, theirs = (parse_train(["--loss", name]).config for name in (loss, twin))
    assert f"'s is {twin} (" in said
    assert ("another function" in said) == (loss not in ("Proxy_Anchor", "ProxyAnchor"))
    for section, name in (("data", "batch_size"), ("optim", "epochs"), ("optim", "optimizer"), ("model", "model")):
        a, b = (getattr(getattr(config, section), name) for config in (ours, theirs))
        assert (f"{name} {b} instead of {a}" in said) == (a != b)
    assert len(said.splitlines()) == 1


def test_flags_that_both_take_leave_no_difference():
    typed = ("--batch-size", "32", "--epochs", "9", "--seed", "5", "--optimizer", "adam", "--pooling", "avg")
    (said,) = remarks("--loss", "Proxy_Anchor", *typed)
    assert said == (
        "Proxy_Anchor is Proxy-Anchor's; Proxy-ISA's is ProxyAnchor (select_metric map_at_r instead of recall_at_1);"
        " --recipe proxy_isa beside --loss Proxy_Anchor takes these settings alone"
    )
    assert remarks("--loss", "Proxy_Anchor", "--as-source") == ()


def test_flags_of_one_alone_do_not_hide_the_other():
    (said,) = remarks("--loss", "triplet", "--batch_mining", "random", "--loss_triplet_margin", "0.3")
    assert "Proxy-Anchor's is Triplet (another function" in said
    (said,) = remarks("--loss", "Contrastive", "--enableMemory", "--T", "900")
    assert "LSD (Revisiting)'s is contrastive (another function" in said
    (said,) = remarks("--loss", "triplet", "--introspective", "--scheduler", "step")
    assert "is Triplet" in said


def test_nothing_is_said_of_a_loss_that_nobody_typed_or_of_a_continued_run(tmp_path):
    assert remarks() == ()
    (tmp_path / "config.json").write_text(parse_train(["--loss", "Triplet"]).config.to_json())
    assert remarks("--resume-run", str(tmp_path)) == ()


def test_a_user_is_told_once(tmp_path):
    where = ("--dataset", "folder", "--data-dir", tmp_path / "nowhere", "--model", "resnet18")
    done = run("train.py", "--loss", "Triplet", *where, status=2)
    assert (
        sum("Triplet is not triplet (another function" in line for line in (done.stdout + done.stderr).splitlines())
        == 1
    )
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("first", [True, False])
def test_of_several_processes_the_first_tells(first, capsys):
    command = parse_train(["--loss", "Triplet"])
    here = {
        "launch": lambda *_: SimpleNamespace(is_global_zero=first),
        "data_from_config": mock.Mock(side_effect=InterruptedError),
    }
    with mock.patch.multiple(supervised, **here), pytest.raises(InterruptedError):
        supervised.run(command)
    assert capsys.readouterr().out == f"{command.remarks[0]}\n" * first
