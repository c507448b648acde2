"""Where a command writes is found out before it reads anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dml.cli.classify import parse_classify
from dml.cli.evaluate import OUTPUTS, parse_evaluate
from dml.cli.outputs import require_writable, require_writable_file
from dml.cli.report import parse_report
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.conditions import flag_of
from dml.errors import UserError

ENDINGS = {"gallery": ".png", "tsne": ".html", "uncertainty_gallery": ".png"}


def test_a_folder_that_can_be_made_stays_unmade(tmp_path):
    require_writable(tmp_path / "a" / "b", flag="--log-dir")
    require_writable_file(tmp_path / "c.json", flag="--json")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_written_over_if_it_may_be(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.touch()
    require_writable_file(file, flag="--json")
    reading, writing = os.pipe()
    require_writable_file(f"/dev/fd/{writing}", flag="--json")  # as of `--json >(jq .)`; nothing can be made there
    os.close(reading)
    os.close(writing)
    monkeypatch.setattr(os, "access", lambda *_: False)  # which root always may
    with pytest.raises(UserError, match=r"--json .*a\.json: it is there already, and must not be written to"):
        require_writable_file(file, flag="--json")


@pytest.fixture
def closed(tmp_path, monkeypatch) -> Path:
    """A folder that nothing can be written to, by root neither: its disk is read-only."""
    folder, mkdir = tmp_path / "closed", os.mkdir
    folder.mkdir()

    def refusing(path, *arguments, **options):
        if str(path).startswith(str(folder)):
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", refusing)
    return folder


def test_what_cannot_be_written_to_is_named_with_its_flag(closed, tmp_path):
    file = tmp_path / "file"
    file.touch()
    for check, path, said in (
        (require_writable, closed, f"--x {closed}: cannot make anything in {closed}: Read-only file system"),
        (require_writable, closed / "a" / "b", f"--x {closed}/a/b: cannot make anything in {closed}: Read-only"),
        (require_writable, file, f"--x {file}: cannot make anything in {file}: Not a directory"),
        (require_writable_file, closed / "a.json", f"cannot make anything in {closed}: Read-only file system"),
        (require_writable_file, tmp_path / "no" / "a.json", f"--x {tmp_path}/no/a.json: there is no such folder"),
        (require_writable_file, tmp_path, f"--x {tmp_path} is a folder: name a file"),
    ):
        with pytest.raises(UserError) as error:
            check(path, flag="--x")
        assert said in str(error.value)


def refused(parse, *words, capsys) -> str:
    with pytest.raises(SystemExit) as stop:
        parse([*map(str, words)])
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("parse", "flag"),
    [
        (parse_train, "--log-dir"),
        (lambda words: parse_target(["--source-ckpt", "x.pth", *words]), "--log-dir"),
        (parse_stml, "--log-dir"),
        (parse_classify, "--log-dir"),
        (parse_report, "--out"),
    ],
)
def test_every_program_looks_before_it_reads(parse, flag, closed, capsys):
    assert f"{flag} {closed}/x: cannot make anything in {closed}" in refused(parse, flag, closed / "x", capsys=capsys)


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_file_of_an_evaluation(name, closed, tmp_path, capsys):
    (tmp_path / "a.pt").touch()
    words = ["--ckpt", tmp_path / "a.pt", flag_of(name), closed / f"x{ENDINGS.get(name, '.json')}", "--uncertainty"]
    assert f"cannot make anything in {closed}" in refused(parse_evaluate, *words, capsys=capsys)


def test_every_value_that_is_empty_is_refused(capsys):
    for parse, flags in (
        (parse_train, ("--data-dir", "--log-dir", "--weights", "--init-from", "--model", "--run-name", "--resume-run")),
        (parse_target, ("--source-ckpt", "--data-dir")),
        (parse_stml, ("--resume", "--data-dir")),
        (parse_classify, ("--data-dir", "--evaluate", "--json")),
        (parse_evaluate, ("--ckpt", "--data-dir", "--json", "--tsne")),
        (parse_report, ("--out", "--wandb")),
    ):
        for flag in flags:
            assert "the value is empty" in refused(parse, flag, "", capsys=capsys), flag
    assert parse_train(["--remark", "", "--group", ""]).config.run.remark == ""
