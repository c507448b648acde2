"""How many processes load images where nobody says it, and what is said of too many."""

from __future__ import annotations

import os
import warnings

import pytest

from dml.cli import workers
from dml.cli.classify import parse_classify
from dml.cli.evaluate import parse_evaluate
from dml.cli.stml import parse_stml
from dml.cli.target import parse_target
from dml.cli.train import parse_train
from dml.config import ConfigWarning

CORES = workers.cores
PROGRAMS = {
    "train": (lambda *words: parse_train(words).config.data.workers, ()),
    "target": (lambda *words: parse_target(words).config.data.workers, ("--source-ckpt", "x.pt")),
    "stml": (lambda *words: parse_stml(words).config.data.workers, ()),
    "classify": (lambda *words: parse_classify(words).config.data.workers, ()),
    "evaluate": (lambda *words: parse_evaluate(words).workers, ("--ckpt", "x.pt")),
}


def of(program: str, *words: str) -> tuple[int, list[str]]:
    """The workers of a command line, and what is said of them."""
    parse, needed = PROGRAMS[program]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        number = parse(*needed, *words)
    return number, [str(w.message) for w in caught if "--workers" in str(w.message)]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_default_fits_the_machine_and_what_is_typed_counts(program, monkeypatch):
    whole, _ = of(program)
    assert whole >= 4
    monkeypatch.setattr(workers, "cores", lambda: 2)
    assert of(program) == (2, [])
    assert of(program, "--workers", "2") == (2, [])
    told = "--workers 7: there are 2 cores for them; more processes load no faster"
    assert of(program, "--workers", "7") == (7, [told])


def test_a_continued_run_fits_the_machine_that_it_goes_on_on(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(parse_train([]).config.to_json())
    resume = ["--resume-run", str(tmp_path)]
    assert parse_train(resume).config.data.workers == 4
    monkeypatch.setattr(workers, "cores", lambda: 1)
    assert parse_train(resume).config.data.workers == 1
    with pytest.warns(ConfigWarning, match="--workers 3: there is 1 core for them"):
        assert parse_train([*resume, "--workers", "3"]).config.data.workers == 3


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_the_cores_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert CORES() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert CORES() == len(before)
